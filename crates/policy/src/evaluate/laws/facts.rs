//! What offers, terms and organisations may state in the worlds of the laws, as JSON: every claim and every other field
//! that a verdict reads.

/// Claims of an offer and its terms, by the path that `min_assurance` has, with values good and bad.
pub(super) const OF_OFFERS: &[(&str, &str, &[&str])] = &[
    (
        "model_digest",
        "offer.model_digest",
        &[
            r#""00000000000000000000000000000000000000000000000000000000000000aa""#,
            r#""00000000000000000000000000000000000000000000000000000000000000bb""#,
        ],
    ),
    ("modalities", "offer.modalities", &[r#"["text"]"#, r#"["text","image"]"#, "[]"]),
    ("processing_locations", "offer.processing_locations", PLACES),
    ("storage_locations", "offer.storage_locations", PLACES),
    ("access_locations", "offer.access_locations", PLACES),
    (
        "sub_processors",
        "offer.sub_processors",
        &[
            "[]",
            r#"[{"id":"S1","role":"cloud-host","places":["IN"],"content_access":true}]"#,
            r#"[{"id":"S1","role":"billing","places":["IN"],"content_access":false}]"#,
            r#"[{"id":"S4","lei":"529900T8BM49AURSDO55","role":"billing","places":["FR"],"content_access":false}]"#,
            r#"[{"id":"S2","role":"support","places":["DE"],"content_access":true,"seat":"US","principal_place_of_business":"US","establishments":["US"],"ultimate_controllers":[]}]"#,
            r#"[{"id":"S3","role":"safety","places":["DE"],"content_access":true,"seat":"DE","principal_place_of_business":"DE","establishments":["DE"],"ultimate_controllers":[{"name":"C","seat":"GB"}]}]"#,
        ],
    ),
    ("seal", "offer.seal", &[r#"{"SOV-1":4,"SOV-2":2}"#, r#"{"SOV-1":1}"#, r#"{"SOV-1":3,"SOV-2":3,"SOV-8":4}"#]),
    ("cada_level", "offer.cada_level", &["1", "3"]),
    ("gaiax_label", "offer.gaiax_label", &["1", "2"]),
    ("safety_grade", "offer.safety_grade", &[r#""poor""#, r#""good""#, r#""excellent""#]),
    ("runtime", "offer.runtime", &[r#""tdx""#, r#""none""#]),
    (
        "licence",
        "offer.licence",
        &[
            r#""MIT""#,
            r#""CC-BY-NC-4.0""#,
            r#""LicenseRef-Llama-2""#,
            r#""LicenseRef-Llama-3.3""#,
            r#""LicenseRef-Llama-4""#,
            r#""LicenseRef-Gemma""#,
            r#""LicenseRef-DeepSeek""#,
            r#""LicenseRef-Both""#,
        ],
    ),
    (
        "retention",
        "offer.terms.retention",
        &[
            "[]",
            r#"[{"data":"metadata","trigger":"routine","max_days":365}]"#,
            r#"[{"data":"content","trigger":"abuse-monitoring","max_days":30},{"data":"content","trigger":"legal-obligation","max_days":90}]"#,
            r#"[{"data":"content","trigger":"legal-obligation","max_days":90},{"data":"content","trigger":"abuse-monitoring","max_days":30}]"#,
            r#"[{"data":"content","trigger":"routine","max_days":7},{"data":"content","trigger":"routine","max_days":40}]"#,
        ],
    ),
    ("training_use", "offer.terms.training_use", &[r#""never""#, r#""opt-in""#, r#""opt-out""#, r#""always""#]),
    (
        "human_review",
        "offer.terms.human_review",
        &[r#"{"mode":"flagged-only","reviewer_places":["IE"]}"#, r#"{"mode":"routine"}"#, r#"{"mode":"never"}"#],
    ),
    ("content_logging", "offer.terms.content_logging", &["true", "false"]),
    ("transfer_basis", "offer.terms.transfer_basis", &[r#""adequacy""#, r#""scc""#, r#""bcr""#, r#""none-needed""#]),
    (
        "certifications",
        "offer.terms.certifications",
        &[
            "[]",
            r#"[{"scheme":"BSI-C5","level":"type-1","edition":"2020","period_end":"2026-06-30"}]"#,
            r#"[{"scheme":"BSI-C5","level":"type-2","edition":"2020","period_start":"2025-07-01","period_end":"2025-11-21","scope_sites":["FR"]},{"scheme":"ISO27001","edition":"2013","issued":"2020-01-01","expires":"2027-01-01"}]"#,
            r#"[{"scheme":"ISO27001","edition":"2022","issued":"2026-11-22","expires":"2026-12-01","scope_services":["other"]},{"scheme":"ISO27001","edition":"2022","issued":"2024-01-01","expires":"2026-11-23"}]"#,
            r#"[{"scheme":"BSI-C5","level":"type-2","period_end":"2026-06-30","scope_sites":["DE"]},{"scheme":"ISO27001","edition":"2013","issued":"2020-01-01","expires":"2027-01-01"}]"#,
            r#"[{"scheme":"BSI-C5","level":"type-2","edition":"2020","period_start":"2027-06-01","period_end":"2027-07-01"}]"#,
            r#"[{"scheme":"BSI-C5","level":"type-2","edition":"2020","period_end":"2027-07-01"},{"scheme":"ISO27001","expires":"2028-01-01"}]"#,
            r#"[{"scheme":"SOC2"},{"scheme":"ISO27001","edition":"2022","expires":"2031-12-27","scope_sites":["DE","FR"]}]"#,
        ],
    ),
    (
        "quota",
        "offer.terms.quota",
        &[r#"{"requests_per_day":1}"#, r#"{"requests_per_day":5}"#, r#"{"requests_per_day":1000000000}"#],
    ),
];

/// Claims of organisations: of an operator, and of a caller.
pub(super) const OF_ORGANISATIONS: &[(&str, &[&str])] = &[
    ("seat", PLACE),
    ("headquarters", PLACE),
    ("principal_place_of_business", PLACE),
    ("establishments", &["[]", r#"["FR"]"#, r#"["FR","US"]"#, r#"["GB"]"#, r#"["SG"]"#, r#"["UK"]"#, r#"["US-PR"]"#]),
    (
        "ownership",
        &[
            "{}",
            r#"{"parties":{"P":{"seat":"CN"}},"stakes":[{"holder":"P","share":{"percent":60}}]}"#,
            r#"{"parties":{"P":{"seat":"FR","headquarters":"US"},"Q":{"seat":"FR"}},"stakes":[{"holder":"P","share":{"percent":50}},{"holder":"Q","share":{"percent":50}},{"holder":"P","interest":"voting-rights","share":{"percent":51}},{"holder":"Q","interest":"voting-rights","share":{"percent":49}}]}"#,
            r#"{"parties":{"P":{"seat":"DE"},"Q":{"seat":"GB","restricted_party_lists":["SDN"]},"H":{"seat":"DE"}},"stakes":[{"holder":"H","share":{"percent":60}},{"holder":"P","share":{"at_least":25,"below":40}},{"subject":"H","holder":"Q","share":{"percent":50}},{"subject":"H","holder":"P","share":{"percent":50}}]}"#,
            r#"{"parties":{"F":{"kind":"dispersed"},"S":{"kind":"state","seat":"CN"}},"stakes":[{"holder":"F","share":{"percent":100}},{"holder":"S","interest":"golden-share","share":{}}]}"#,
            r#"{"parties":{"P":{}},"stakes":[{"holder":"P","share":{"percent":30}}]}"#,
            r#"{"parties":{"P":{"seat":"FR"},"Q":{"seat":"US"}},"stakes":[{"holder":"P","share":{"at_least":40,"at_most":60}},{"holder":"Q","share":{"at_least":40,"at_most":60}}]}"#,
            r#"{"parties":{"P":{"seat":"FR"},"Q":{"headquarters":"DE"}},"stakes":[{"holder":"P","share":{"percent":50}},{"holder":"Q","share":{"at_least":10}}]}"#,
            r#"{"parties":{"P":{"seat":"CN-HK"}},"stakes":[{"holder":"P","share":{"percent":100}}]}"#,
        ],
    ),
    (
        "ultimate_controllers",
        &["[]", r#"[{"name":"C","seat":"US"}]"#, r#"[{"name":"C","seat":"CN"},{"name":"D","seat":"FR"}]"#],
    ),
    ("organisation_type", &[r#""governmental""#, r#""military""#, r#""commercial""#]),
    ("sector", &[r#""P""#, r#""84""#, r#""84.22""#, r#""62""#, r#""K""#, r#""W""#]),
    ("restricted_party_lists", &["[]", r#"["SDN"]"#, r#"["MEU","SDN"]"#]),
    (
        "monthly_active_users",
        &[
            r#"{"count":700000000,"month":"2025-03"}"#,
            r#"{"count":700000001,"month":"2025-03"}"#,
            r#"{"count":5,"month":"2023-06"}"#,
            r#"{"count":900000000,"month":"2023-06"}"#,
        ],
    ),
    ("dpf_participation", &["true", "false"]),
    ("commercial_organisation", &["true", "false"]),
];

const PLACES: &[&str] = &[
    r#"["FR"]"#,
    r#"["DE","US"]"#,
    r#"["GB"]"#,
    r#"["CH"]"#,
    r#"["US"]"#,
    r#"["CA"]"#,
    r#"["UK"]"#,
    r#"["UA-43"]"#,
    r#"["UA"]"#,
    r#"["CN-HK","FR-RE"]"#,
    "[]",
];

const PLACE: &[&str] = &[
    r#""FR""#,
    r#""DE""#,
    r#""US""#,
    r#""GB""#,
    r#""CH""#,
    r#""SG""#,
    r#""CN""#,
    r#""UA-43""#,
    r#""EL""#,
    r#""US-PR""#,
];

/// What is stated and no claim.
pub(super) const PLAIN: &[(&str, &[&str])] = &[
    ("offer.terms", &["null"]),
    ("offer.state", &[r#""draining""#, r#""withdrawn""#]),
    (
        "offer.in_force",
        &[
            r#"{"from":"2026-11-22"}"#,
            r#"{"until":"2026-11-23"}"#,
            r#"{"from":"2026-11-23","until":"2026-12-01"}"#,
            r#"{"until":"2026-11-22"}"#,
        ],
    ),
    ("offer.capabilities", &[r#"["chat"]"#, r#"["embed","tools"]"#]),
    (
        "offer.price",
        &[
            "null",
            r#"{"currency":"EUR","input_micros_per_million_tokens":9,"output_micros_per_million_tokens":1}"#,
            r#"{"currency":"USD","input_micros_per_million_tokens":1,"output_micros_per_million_tokens":1}"#,
        ],
    ),
    ("offer.terms.allowed_purposes", &["[]", r#"["dpv:CustomerCare"]"#, r#"["no:Such"]"#]),
    (
        "offer.terms.prohibited_purposes",
        &[
            r#"["dpv:Counterterrorism"]"#,
            r#"["dpv:CommunicationForCustomerCare"]"#,
            r#"["dpv:Purpose"]"#,
            r#"["no:Such"]"#,
        ],
    ),
    ("offer.terms.high_risk", &["null", r#""prohibited""#]),
    ("offer.terms.caller_rules", &["null"]),
    (
        "offer.terms.caller_rules.served",
        &[r#""everyone""#, r#"["EU","SG"]"#, r#"["US"]"#, r#"["GDPR-ADEQUATE"]"#, "[]", r#"["NO-SUCH"]"#],
    ),
    ("offer.terms.caller_rules.served_except", &[r#"["DE-HE","UA-43"]"#, r#"["DE"]"#, r#"["EEA"]"#, r#"["UK"]"#]),
    (
        "offer.terms.caller_rules.check",
        &[r#"{"headquarters":true}"#, r#"{"seat":false}"#, r#"{"access_origin":false}"#],
    ),
    ("offer.terms.caller_rules.denied_organisation_types", &[r#"["military","governmental"]"#]),
    ("offer.terms.caller_rules.denied_sectors", &[r#"["84.2","P"]"#, r#"["84"]"#, r#"["62.1"]"#, r#"["W"]"#]),
    ("offer.terms.caller_rules.denied_lists", &[r#"["SDN"]"#]),
    ("offer.terms.caller_rules.min_terms_version", &["1", "3"]),
    (
        "offer.terms.classification_ceilings",
        &[
            "{}",
            r#"{"UK-GSC":{"level":"OFFICIAL"}}"#,
            r#"{"DE-VS":{"level":"VS-NfD","caveats":["A"]},"TLP-2.0":{"level":"TLP:GREEN"}}"#,
            r#"{"DE-VS":{"level":"VS-NfD"},"FR":{"level":"SECRET"}}"#,
            r#"{"UK-GSC":{"level":"NONE"}}"#,
        ],
    ),
    ("offer.terms.accepted_data_categories", &["null", "[]", r#"["pd:Name"]"#]),
    ("offer.terms.governing_law", &["null", r#""US""#, r#""CH""#]),
    ("offer.terms.liability_cap", &["null", r#"{"currency":"EUR","micros":5}"#, r#"{"currency":"USD","micros":500}"#]),
    ("offer.terms.support", &["null", r#""best-effort""#, r#""business-hours""#]),
    ("offer.terms.availability_bp", &["null", "9900"]),
    ("caller.trust_domain", &[r#""op.example""#]),
    ("caller.accepted_terms", &["{}", r#"{"op.example":1}"#]),
    ("caller.training_choices", &[r#"{"op.example":"opted-in"}"#, r#"{"op.example":"opted-out"}"#]),
    ("require.output_used_in", &["[]", r#"["SG"]"#]),
    ("broker_places", &["null", r#"["US"]"#, "[]"]),
    ("model", &[r#""other""#, r#""m""#]),
    ("used", &["{}", r#"{"op.example/n1/chat":5}"#, r#"{"op.example/n1/chat":1}"#, r#"{"op.example/n1/other":9}"#]),
];

/// What is stated that is held against one another, demands apart.
pub(super) const TOGETHER: &[&[&str]] = &[
    &["offer.terms.caller_rules.denied_organisation_types", "caller.organisation_type"],
    &["offer.terms.caller_rules.denied_sectors", "caller.sector"],
    &["offer.terms.caller_rules.denied_lists", "caller.restricted_party_lists"],
    &["offer.terms.caller_rules.min_terms_version", "caller.accepted_terms"],
    &["offer.terms.caller_rules.served", "caller.seat", "caller.dpf_participation"],
    &["offer.terms.caller_rules.served_except", "caller.seat"],
    &["offer.terms.caller_rules.served", "offer.terms.caller_rules.check", "caller.headquarters"],
    &["offer.terms.caller_rules.ownership", "caller.ownership"],
    &["offer.terms.caller_rules.ownership", "caller.ownership", "caller.ultimate_controllers"],
    &["offer.terms.caller_rules.ownership", "offer.terms.caller_rules.served", "caller.ownership"],
    &["offer.licence", "offer.modalities", "operator.principal_place_of_business"],
    &["offer.licence", "caller.principal_place_of_business"],
    &["offer.licence", "operator.monthly_active_users"],
    &["offer.terms.quota", "used"],
];

/// A world in which everything is said, and nothing speaks against anything.
pub(super) const GOOD: &str = r#"{
  "as_of": "2026-11-22", "broker_places": ["FR"], "model": null, "used": {},
  "offer": {
    "id": "chat", "node": "spiffe://op.example/node/n1", "model": "m", "capabilities": ["chat", "tools"],
    "model_digest": "00000000000000000000000000000000000000000000000000000000000000aa", "modalities": ["text"],
    "processing_locations": ["FR"], "storage_locations": ["FR"], "access_locations": ["FR"], "sub_processors": [],
    "seal": {"SOV-1": 4, "SOV-2": 4}, "cada_level": 4, "gaiax_label": 3, "safety_grade": "excellent", "runtime": "tdx",
    "licence": "Apache-2.0",
    "price": {"currency": "EUR", "input_micros_per_million_tokens": 1, "output_micros_per_million_tokens": 1},
    "terms": {
      "version": 3, "retention": [], "training_use": "never", "human_review": {"mode": "never"},
      "content_logging": false, "transfer_basis": "scc",
      "certifications": [
        {"scheme": "BSI-C5", "level": "type-2", "edition": "2020", "period_start": "2025-07-01", "period_end": "2026-06-30"},
        {"scheme": "ISO27001", "edition": "2022", "issued": "2025-01-01", "expires": "2027-01-01"}],
      "allowed_purposes": ["dpv:Purpose"], "prohibited_purposes": ["fed:MilitaryUse"], "high_risk": "allowed",
      "caller_rules": {"served": "everyone"}, "governing_law": "FR", "courts": "FR",
      "classification_ceilings": {"UK-GSC": {"level": "SECRET", "caveats": ["SENSITIVE"]}, "DE-VS": {"level": "GEHEIM"}},
      "liability_cap": {"currency": "EUR", "micros": 100}, "support": "around-the-clock", "availability_bp": 9990
    }
  },
  "operator": {
    "trust_domain": "op.example", "name": "OP", "seat": "FR", "headquarters": "FR", "principal_place_of_business": "FR",
    "establishments": ["FR"], "ultimate_controllers": [], "organisation_type": "commercial", "sector": "62",
    "ownership": {"parties": {"FRP": {"seat": "FR"}}, "stakes": [
      {"holder": "FRP", "share": {"percent": 100}}, {"holder": "FRP", "interest": "voting-rights", "share": {"percent": 100}}]},
    "restricted_party_lists": [], "monthly_active_users": {"count": 5, "month": "2025-03"}, "dpf_participation": true,
    "commercial_organisation": true
  },
  "caller": {
    "trust_domain": "ca.example", "name": "CA", "seat": "DE", "headquarters": "DE", "principal_place_of_business": "DE",
    "establishments": ["DE"], "ultimate_controllers": [], "organisation_type": "commercial", "sector": "62",
    "ownership": {"parties": {"DEP": {"seat": "DE"}}, "stakes": [
      {"holder": "DEP", "share": {"percent": 100}}, {"holder": "DEP", "interest": "voting-rights", "share": {"percent": 100}}]},
    "restricted_party_lists": [], "monthly_active_users": {"count": 5, "month": "2025-03"}, "dpf_participation": true,
    "commercial_organisation": true, "accepted_terms": {"op.example": 3}
  },
  "require": {"purposes": ["dpv:CustomerCare"], "output_used_in": ["DE"]}
}"#;
