//! Stop strings: text that could be the beginning of one is held back until it is
//! clear that it is not.

/// Text on its way out, as long as no stop string has come.
#[derive(Debug)]
pub(super) struct Stops {
    stops: Vec<String>,
    held: String,
}

/// What to do after some text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Send this, and go on.
    Go(String),
    /// Send this: a stop string came.
    Stop(String),
}

impl Stops {
    pub(super) fn new(stops: &[String]) -> Self {
        Self { stops: stops.iter().filter(|stop| !stop.is_empty()).cloned().collect(), held: String::new() }
    }

    /// Takes text, and gives back what can be sent.
    pub(super) fn push(&mut self, text: &str) -> Step {
        self.held.push_str(text);
        if let Some(at) = self.stops.iter().filter_map(|stop| self.held.find(stop)).min() {
            self.held.truncate(at);
            return Step::Stop(std::mem::take(&mut self.held));
        }
        let keep = self.stops.iter().map(|stop| overlap(&self.held, stop)).max().unwrap_or(0);
        let rest = self.held.split_off(self.held.len() - keep);
        Step::Go(std::mem::replace(&mut self.held, rest))
    }

    /// What was held back, once no more text comes.
    pub(super) fn rest(self) -> String {
        self.held
    }
}

/// How many bytes at the end of `text` are the beginning of `stop`.
fn overlap(text: &str, stop: &str) -> usize {
    let starts = stop.char_indices().map(|(at, _)| at).filter(|at| *at > 0);
    starts.filter(|at| stop.get(..*at).is_some_and(|head| text.ends_with(head))).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_string_across_pieces_is_never_sent() {
        let mut stops = Stops::new(&["END".to_owned()]);
        assert_eq!(stops.push("one E"), Step::Go("one ".to_owned()));
        assert_eq!(stops.push("N"), Step::Go(String::new()));
        assert_eq!(stops.push("D two"), Step::Stop(String::new()));
    }

    #[test]
    fn text_that_only_began_like_a_stop_string_is_sent() {
        let mut stops = Stops::new(&["END".to_owned()]);
        assert_eq!(stops.push("E"), Step::Go(String::new()));
        assert_eq!(stops.push("at"), Step::Go("Eat".to_owned()));
        assert_eq!(stops.push("EN"), Step::Go(String::new()));
        assert_eq!(stops.rest(), "EN");
    }
}
