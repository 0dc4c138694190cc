//! The example loads and names every key; what is broken is named.

use std::collections::BTreeSet;

use super::*;

const EXAMPLE: &str = include_str!("../../../deploy/node.example.toml");

fn node() -> SpiffeId {
    "spiffe://org-a.example/node/n1".parse().unwrap()
}

#[test]
fn the_example_loads_and_fits() {
    let plan = Config::parse(EXAMPLE).unwrap().plan(&node(), Tables::builtin().unwrap()).unwrap();
    let names: Vec<_> = plan.iter().map(|planned| planned.offer.name().to_string()).collect();
    assert_eq!(names, ["org-a.example/n1/chat", "org-a.example/n1/local-chat", "org-a.example/n1/embed"]);
    assert_eq!(plan[2].backend_model, "paraphrase-minilm-l3-v2");
}

#[test]
fn the_example_names_every_key() {
    // serde lists the fields that it expects when it meets one that it does not know.
    for table in ["node", "metrics", "backends.x", "terms.x", "terms.x.caller_rules"] {
        let head = if table == "backends.x" { "kind = \"openai\"\n" } else { "" };
        let text = format!("[{table}]\n{head}zzz = 1\n");
        let error = Config::parse(&text).unwrap_err().to_string();
        for key in expected(&error) {
            let set = EXAMPLE.lines().any(|line| {
                let line = line.trim_start_matches("# ");
                line.starts_with(&format!("{key} =")) || line.starts_with(&format!("[terms.standard.{key}]"))
            });
            assert!(set, "deploy/node.example.toml does not show `{key}` of [{table}]");
        }
    }
}

fn expected(error: &str) -> BTreeSet<String> {
    let (_, list) = error.split_once("expected").unwrap_or_else(|| panic!("{error}"));
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_examples_budgets_load_and_those_that_cannot_hold_are_misfits() {
    let mut text = EXAMPLE.to_owned();
    for line in [
        "[staleness]",
        "new_callers = \"1m\"",
        "[staleness.offers]",
        "chat = \"2m\"",
        "[metrics]",
        "listen = \"127.0.0.1:9464\"",
    ] {
        assert!(text.contains(&format!("# {line}\n")), "{line}");
        text = text.replace(&format!("# {line}\n"), &format!("{line}\n"));
    }
    let config = Config::parse(&text).unwrap();
    assert!(config.plan(&node(), Tables::builtin().unwrap()).is_ok());
    let classes: Vec<_> = config.budgets().classes().map(|(class, time)| (class.to_string(), time.as_secs())).collect();
    assert_eq!(classes, [("all".into(), 900), ("new_callers".into(), 60), ("offers.chat".into(), 120)]);
    let text = text
        .replace("new_callers = \"1m\"", "new_callers = \"16m\"")
        .replace("chat = \"2m\"", "gone = \"2m\"")
        .replace("listen = \"127.0.0.1:9464\"", "listen = \"0.0.0.0:9464\"");
    let misfits = Config::parse(&text).unwrap().plan(&node(), Tables::builtin().unwrap()).unwrap_err();
    let mut paths: Vec<_> = misfits.iter().map(|misfit| misfit.path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["metrics.listen", "staleness.new_callers", "staleness.offers.gone"]);
    assert!(Config::parse(&text.replace("\"16m\"", "\"30s\"")).is_err());
}

#[test]
fn a_typo_is_shown_with_its_line_and_its_field() {
    let text = EXAMPLE.replace("training_use =", "traning_use =");
    let error = Config::parse(&text).unwrap_err().to_string();
    let line = text.lines().position(|line| line.starts_with("traning_use")).unwrap() + 1;
    assert!(error.contains("traning_use") && error.contains(&format!("line {line}")), "{error}");
}

#[test]
fn every_misfit_is_reported_at_once() {
    let text = EXAMPLE
        .replace("backend = \"local-text\"", "backend = \"gone\"")
        .replace("id = \"embed\"", "id = \"chat\"")
        .replace("path = \"models", "url = \"http://x\"\npath = \"models");
    let misfits = Config::parse(&text).unwrap().plan(&node(), Tables::builtin().unwrap()).unwrap_err();
    let paths: Vec<_> = misfits.iter().map(|misfit| misfit.path.as_str()).collect();
    assert_eq!(paths, ["backends.local-text", "offers.local-chat.backend", "offers.chat.id"]);
}

#[test]
fn terms_that_would_serve_nobody_are_reported() {
    let text = "[node]\nlisten='127.0.0.1:0'\ndata_dir='d'\n[backends.b]\nkind='embedded-embeddings'\n[terms.t]\n\
        [[offers]]\nid='e'\nmodel='m'\nbackend='b'\ncapabilities=['embed']\nterms='t'\n";
    let misfits = Config::parse(text).unwrap().plan(&node(), Tables::builtin().unwrap()).unwrap_err();
    assert!(misfits.iter().any(|misfit| misfit.problem.contains("caller_rules")), "{misfits:?}");
}

#[test]
fn a_word_of_somebody_else_is_reported_before_a_broker_refuses_it() {
    let vouched = "processing_locations = { value = [\"DE\"], issuer = \"GLEIF\", assurance = \"audited\" }";
    let text = EXAMPLE.replacen("processing_locations = [\"DE\"]", vouched, 1);
    let misfits = Config::parse(&text).unwrap().plan(&node(), Tables::builtin().unwrap()).unwrap_err();
    let paths: Vec<_> = misfits.iter().map(|misfit| misfit.path.as_str()).collect();
    assert_eq!(paths, ["offers.chat.processing_locations[0].provenance.issuer"]);
}

#[test]
fn addresses_that_no_broker_could_reach_are_reported() {
    let misfits = |listen: &str, advertise: &str| {
        let text = EXAMPLE.replace("listen = \"127.0.0.1:7443\"", listen);
        let text = text.replace("advertise = \"node1.example.org:7443\"", advertise);
        let misfits = Config::parse(&text).unwrap().plan(&node(), Tables::builtin().unwrap()).err().unwrap_or_default();
        misfits.into_iter().map(|misfit| misfit.path).collect::<Vec<_>>()
    };
    assert_eq!(misfits("listen = \"0.0.0.0:7443\"", ""), ["node.advertise"]);
    assert_eq!(misfits("listen = \"[::]:7443\"", ""), ["node.advertise"]);
    assert_eq!(misfits("listen = \"0.0.0.0:7443\"", "advertise = \"https://node.example\""), ["node.advertise"]);
    assert_eq!(misfits("listen = \"nowhere\"", ""), ["node.listen"]);
    assert!(misfits("listen = \"0.0.0.0:0\"", "advertise = \"node.example:7443\"").is_empty());
}

#[test]
fn a_node_listens_or_dials_out_and_keeps_a_few_tunnels() {
    let misfits = |listen: &str| {
        let text = EXAMPLE.replace("listen = \"127.0.0.1:7443\"", listen);
        let text = text.replace("advertise = \"node1.example.org:7443\"", "");
        let misfits = Config::parse(&text).unwrap().plan(&node(), Tables::builtin().unwrap()).err().unwrap_or_default();
        misfits.into_iter().map(|misfit| (misfit.path, misfit.problem)).collect::<Vec<_>>()
    };
    let [(path, problem)] = misfits("").try_into().unwrap();
    assert!(path == "node.listen" && problem.contains("dial_out = true"), "{path}: {problem}");
    assert_eq!(misfits("dial_out = false"), [(path, problem)]);
    for enough in ["dial_out = true", "dial_out = true\ntunnels = 2", "dial_out = true\ntunnels = 8"] {
        assert_eq!(misfits(enough), [], "{enough}");
    }
    let both = misfits("listen = \"127.0.0.1:7443\"\nadvertise = \"n1.example:7443\"\ndial_out = true");
    assert!(both.iter().map(|(path, _)| path.as_str()).eq(["node.listen", "node.advertise"]), "{both:?}");
    for wrong in ["dial_out = true\ntunnels = 1", "dial_out = true\ntunnels = 9"] {
        assert_eq!(misfits(wrong)[0].0, "node.tunnels", "{wrong}");
    }
}

#[test]
fn every_misfit_says_its_line() {
    let text = EXAMPLE
        .replace("backend = \"local-text\"", "backend = \"gone\"")
        .replace("id = \"embed\"", "id = \"chat\"")
        .replace("backend_model = \"Qwen/Qwen3-8B\"\n", "")
        .replace("until = 2099-12-31 }\n# The longest", "until = 2025-12-31 }\n# The longest")
        .replace("capabilities = [\"embed\"]", "capabilities = []")
        .replace("terms = \"standard\"\ncontext_tokens", "terms = \"gone\"\ncontext_tokens")
        .replace("listen = \"127.0.0.1:7443\"", "listen = \"nowhere\"")
        .replace(
            "licence = \"Apache-2.0\"\nprice = { currency = \"EUR\", input_micros_per_million_tokens = 0",
            "price = { currency = \"EUR\", input_micros_per_million_tokens = 0",
        )
        .replace("path = \"models", "url = \"http://x\"\npath = \"models");
    let misfits = Config::parse(&text).unwrap().plan(&node(), Tables::builtin().unwrap()).unwrap_err();
    assert!(misfits.len() >= 8, "{misfits:?}");
    let lines: Vec<_> = text.lines().collect();
    for misfit in misfits {
        let line = lines[misfit.line.unwrap_or_else(|| panic!("{misfit:?}")) - 1];
        let field = misfit.path.rsplit('.').next().unwrap();
        let shown = line.starts_with(&format!("{field} =")) || line.starts_with('[');
        assert!(shown, "{misfit}: {line}");
        assert!(misfit.to_string().starts_with("line "), "{misfit}");
    }
}

#[test]
fn a_code_that_is_written_wrongly_is_answered_with_what_was_meant_and_its_line() {
    let text = EXAMPLE
        .replace("processing_locations = [\"DE\"]", "processing_locations = [\"UK\"]")
        .replace("places = [\"DE\"]", "places = [\"EL\"]")
        .replace("served = [\"EU\", \"CH\"]", "served = [\"EU\", \"UK\"]");
    let misfits = Config::parse(&text).unwrap().plan(&node(), Tables::builtin().unwrap()).unwrap_err();
    let said: Vec<_> = misfits.iter().map(ToString::to_string).collect();
    for (path, meant) in [
        ("offers.chat.processing_locations", "GB"),
        ("offers.chat.sub_processors.hoster.places", "GR"),
        ("offers.embed.processing_locations", "GB"),
        ("terms.standard.caller_rules.served", "GB"),
    ] {
        let hint = format!("{path}: ");
        let found = said.iter().find(|line| line.contains(&hint)).unwrap_or_else(|| panic!("{path} in {said:?}"));
        assert!(found.contains(&format!("did you mean \"{meant}\"?")) && found.starts_with("line "), "{found}");
    }
}

#[test]
fn a_mistake_in_a_file_is_shown_with_the_path_of_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.toml");
    std::fs::write(&path, EXAMPLE.replace("training_use = \"never\"", "training_use = \"sometimes\"")).unwrap();
    let said = Config::load(&path).unwrap_err().to_string();
    for word in ["line ", "terms.standard.training_use", "`sometimes`", "`opt-in`"] {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
}

#[test]
fn codes_are_those_of_the_folder_of_tables_that_the_file_names() {
    let folder = tempfile::tempdir().unwrap();
    let (path, tables) = (folder.path().join("node.toml"), folder.path().join("tables"));
    let text = EXAMPLE.replace("# tables = \"tables\"", "tables = \"tables\"").replace("dpv:Purpose", "our:Purpose");
    std::fs::write(&path, text).unwrap();
    std::fs::create_dir(&tables).unwrap();
    let ours = comity_policy::tables::TableName::Purposes.builtin().replace("\"dpv:Purpose\"", "\"our:Purpose\"");
    std::fs::write(tables.join("purposes.toml"), ours).unwrap();
    let config = Config::load(&path).unwrap();
    assert!(config.plan(&node(), Tables::builtin().unwrap()).is_err(), "no table that ships has the purpose");
    assert_eq!(config.plan(&node(), &config.tables().unwrap()).unwrap().len(), 3);
    std::fs::rename(tables.join("purposes.toml"), tables.join("purpose.toml")).unwrap();
    assert!(config.tables().is_err(), "a name that is mistyped leaves no table in force");
}
