//! The story: what is asked, by whom, with which requirements, and what has to come of it.

use super::cast::{ASSISTANT, App, CITY, CLOUD, HELPDESK, Organisation, VENDOR};

/// A step of the story.
#[derive(Debug)]
pub(super) struct Step {
    /// Names it, also where it went wrong.
    pub(super) title: &'static str,
    /// What it is about.
    pub(super) told: &'static str,
    /// What an operator does before.
    pub(super) governed: Option<&'static [&'static str]>,
    /// Who asks.
    pub(super) app: &'static App,
    /// With which requirements, as flags of `comity chat`, `embed` and `explain`.
    pub(super) requirements: &'static [&'static str],
    /// What has to come of it.
    pub(super) expected: Expected,
}

/// What has to come of a request.
#[derive(Debug)]
pub(super) enum Expected {
    /// The node of this organisation answers.
    AnsweredBy(&'static Organisation),
    /// Nobody may answer, for these reasons among others.
    Refused(&'static [(&'static Organisation, &'static str)]),
}

/// Why the assistant asks.
const PUBLIC_SERVICES: &str = "dpv:ImprovePublicServices";

/// Every step, in order.
pub(super) static STORY: [Step; 7] = [
    Step {
        title: "A request that only one node may have",
        told: "The city's assistant asks for a sovereign answer: processed, stored and reached only inside the EU, \
               by an operator that is seated there, controlled from nowhere else, and out of reach of the CLOUD Act of the \
               United States. That leaves the city's own node, although it is the dearest.",
        governed: None,
        app: &ASSISTANT,
        requirements: &["--preset", "eu-sovereign", "--purpose", PUBLIC_SERVICES],
        expected: Expected::AnsweredBy(&CITY),
    },
    Step {
        title: "The same request, with other requirements, goes elsewhere",
        told: "It is enough that the machine stands in the EU. The Irish company's does, and it is cheaper than the \
               city's; that its owner sits in the United States is no longer asked.",
        governed: None,
        app: &ASSISTANT,
        requirements: &["--preset", "eu-processing", "--purpose", PUBLIC_SERVICES],
        expected: Expected::AnsweredBy(&CLOUD),
    },
    Step {
        title: "A refusal, with its reasons",
        told: "Sovereign and cheap at once is more than anyone offers. No prompt leaves the broker, nothing is relaxed \
               in silence: the answer is a table of every offer, every reason, and what would mend it.",
        governed: None,
        app: &ASSISTANT,
        requirements: &["--preset", "eu-sovereign", "--max-price", "EUR:0.10:0.20", "--purpose", PUBLIC_SERVICES],
        expected: Expected::Refused(&[
            (&CITY, "PRICE_ABOVE_MAX"),
            (&CLOUD, "CONTROLLER_NOT_ALLOWED"),
            (&VENDOR, "PROCESSING_LOCATION_NOT_ALLOWED"),
        ]),
    },
    Step {
        title: "A caller whom the vendor's terms accept",
        told: "For this question the city demands nothing but an operator in the United States. The vendor serves \
               callers of the EU that are controlled from no place that it does not serve: the city is one.",
        governed: None,
        app: &ASSISTANT,
        requirements: &["--operator-seat", "US", "--purpose", PUBLIC_SERVICES],
        expected: Expected::AnsweredBy(&VENDOR),
    },
    Step {
        title: "A caller whom the vendor's terms refuse",
        told: "The start-up's helpdesk asks the same. The start-up has its seat in the EU as well, but its owner sits in \
               Switzerland, which is not on the vendor's list. Both sides have to agree; here the vendor does not.",
        governed: None,
        app: &HELPDESK,
        requirements: &["--operator-seat", "US", "--purpose", "dpv:CustomerCare"],
        expected: Expected::Refused(&[(&VENDOR, "CALLER_OWNERSHIP_RESTRICTED")]),
    },
    Step {
        title: "A purpose that the vendor's terms refuse",
        told: "The city again, whom the vendor does serve, but now to screen job applications, which the vendor's terms \
               prohibit.",
        governed: None,
        app: &ASSISTANT,
        requirements: &["--operator-seat", "US", "--purpose", "dpv:RecruitmentApplicationScreening"],
        expected: Expected::Refused(&[(&VENDOR, "PURPOSE_PROHIBITED")]),
    },
    Step {
        title: "A member is suspended, and the next call goes around it",
        told: "The operator suspends the Irish company. The second request, word for word, now goes to the city's node: \
               dearer, but the only one left that it may go to.",
        governed: Some(&["suspend", "cloud.example", "--reason", "a key was lost"]),
        app: &ASSISTANT,
        requirements: &["--preset", "eu-processing", "--purpose", PUBLIC_SERVICES],
        expected: Expected::AnsweredBy(&CITY),
    },
];

#[cfg(test)]
mod tests {
    use comity_policy::ReasonCode;

    use super::*;

    #[test]
    fn every_reason_that_is_told_is_one_of_the_closed_list() {
        for step in &STORY {
            let Expected::Refused(reasons) = step.expected else { continue };
            assert!(reasons.iter().all(|(_, code)| code.parse::<ReasonCode>().is_ok()), "{}", step.title);
        }
    }

    #[test]
    fn the_last_request_is_the_second_one_again() {
        let [_, second, .., last] = &STORY;
        assert_eq!(second.requirements, last.requirements);
    }
}
