use std::path::PathBuf;

use super::*;

fn load_text(text: &str) -> Result<Arc<Budgets>, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("budgets.toml");
    std::fs::write(&path, text).unwrap();
    load(&path).map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

#[test]
fn the_example_can_be_used_as_it_is() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy/budgets.example.toml");
    let budgets = load(&path).unwrap();
    assert!(budgets.all().count() >= 4);
    // Every kind of limit, of account and of period is in it.
    for measure in Measure::ALL {
        assert!(budgets.all().any(|(_, budget)| budget.limits.of(measure).is_some()), "{measure}");
    }
    for dimension in Dimension::ALL {
        assert!(budgets.all().any(|(_, budget)| budget.each.contains(&dimension)), "{dimension:?}");
    }
}

#[test]
fn all_wrong_values_are_reported_at_once_with_their_field() {
    let text = "[[budget]]\nname = 'Not A Name'\norganisation = 'UPPER'\napp = 'a'\nmodel = ''\noffer = 'o'\neach = ['node']\n\
                per = 'week'\nrequests = 0\nmoney = { currency = 'euro', micros = 0 }\n\
                [[budget]]\nname = 'b'\n[[budget]]\nname = 'b'\nrequests = 1\n\
                [[budget]]\nname = 'c'\nconcurrent = 1\nper = 'day'\noutput_tokens_reserved = 1\n\
                [[budget]]\nname = 'd'\nper = 'day'\ntokens = 100\n\
                [[budget]]\nname = 'e'\nconcurrent = 1\n[[budget]]\nname = 'e'\nconcurrent = 2\n\
                [[budget]]\nname = 'f'\norganisation = 'a.example'\napp = 'spiffe://b.example/app/a'\nconcurrent = 1\n\
                [[budget]]\nname = 'g'\napp = 'spiffe://b.example/node/n'\nconcurrent = 1\n";
    let error = load_text(text).unwrap_err();
    for field in [
        "budget[0].name: ",
        "budget[0].organisation: ",
        "budget[0].app: ",
        "budget[0].model: ",
        "budget[0].offer: ",
        "budget[0].each[0]: ",
        "budget[0].per: ",
        "budget[0].money.currency: ",
        "budget[1].requests: nothing is limited",
        "budget[2].per: must be set",
        "budget[3].per: calls at once",
        "budget[3].output_tokens_reserved: ",
        "budget[4].tokens: is less than the 4096",
        "budget[6].name: another budget",
        "budget[7].app: spiffe://b.example/app/a is no app of a.example",
        "budget[8].app: ",
    ] {
        assert!(error.contains(&format!("budgets.toml: {field}")), "{field} is missing in: {error}");
    }
}

#[test]
fn what_is_no_number_of_a_limit_is_refused_by_its_field() {
    let error =
        load_text("[[budget]]\nname = 'a'\nper = 'day'\nrequests = 0\nmoney = { currency = 'EUR', micros = 0 }\n");
    let error = error.unwrap_err();
    assert!(
        error.contains("budget[0].requests: 0 is outside 1 to") && error.contains("budget[0].money.micros: "),
        "{error}"
    );
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_a_file_without_budgets_as_well() {
    let error = load_text("[[budget]]\nname = 'a'\nrequest = 1\n").unwrap_err();
    assert!(error.contains("request") && error.contains('3'), "{error}");
    assert!(load_text("").unwrap_err().contains("budget: is empty"));
}
