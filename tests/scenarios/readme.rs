//! Every command that the README shows is run by a test, as it stands there. What a
//! reader would fill in comes from the environment; fixed ports become free ones.

use std::path::Path;
use std::process::Command;

use comity_tests::backend::{Backend, Behaviour};
use comity_tests::clients::{npm, python};
use comity_tests::federation::{EU_BODY, Federation, free_address};
use comity_tests::node::NodeSpec;
use comity_tests::program::{Program, built, succeed, workspace};
use comity_tests::readme::{Block, blocks};
use comity_tests::wait;

/// The tests that blocks of the README may name.
/// Adding a block: name its test in a comment above it, `<!-- test: name -->`, and run it by `block(name)` below.
const RUN_HERE: &[&str] = &[
    "the_two_commands",
    "joining",
    "app_joins",
    "python_stubs",
    "python_app",
    "typescript_app",
    "operating",
    "governing",
];

/// The block with this name.
fn block(test: &str) -> Block {
    let text = std::fs::read_to_string(workspace().join("README.md")).unwrap();
    let found = blocks(&text).into_iter().find(|block| block.test.as_deref() == Some(test));
    found.unwrap_or_else(|| panic!("README.md has no block for {test}"))
}

/// A shell that stands in a folder and finds the programs.
fn shell(folder: &Path, script: &str) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = [built("comity").parent().unwrap().to_owned(), python().parent().unwrap().to_owned()];
    let path = std::env::join_paths(folders.into_iter().chain(std::env::split_paths(&path))).unwrap();
    let mut shell = Command::new("bash");
    shell.args(["-euc", script]).current_dir(folder).env("PATH", path);
    shell
}

#[test]
fn every_block_that_a_reader_would_run_is_run_by_a_test() {
    let text = std::fs::read_to_string(workspace().join("README.md")).unwrap();
    for block in blocks(&text).iter().filter(|block| block.is_runnable()) {
        let test = block.test.as_deref().unwrap_or_else(|| panic!("README.md:{}: no test is named above", block.line));
        assert!(RUN_HERE.contains(&test), "README.md:{}: nothing runs {test}", block.line);
    }
    // scenarios/story.rs runs the demonstration; whoever reads this ran the other one.
    assert_eq!(block("the_two_commands").code, "cargo run --release --bin comity -- demo\ncargo xtask test\n");
}

#[test]
fn an_organisation_joins_its_model_server_as_the_readme_says() {
    let backend = Backend::start(Behaviour::Answer);
    let federation = Federation::start();
    let folder = federation.folder().join("member");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("node.toml"), NodeSpec::openai("n1", &backend.url(), "DE").toml()).unwrap();
    federation.write_facts(EU_BODY, &folder.join("organisation.toml"));
    let code = block("joining").code;
    let (join, run) = code.split_once("comity-node run").unwrap();
    let invite = federation.invite(EU_BODY, "node", "n1");
    federation.join(|| {
        let mut shell = shell(&folder, join);
        shell.env("INVITE", &invite);
        shell
    });
    let _node = Program::start("node", &mut shell(&folder, &format!("exec comity-node run{run}")), &folder);
    let _ready = wait::for_file(&folder.join("data/ready"));
}

#[test]
fn apps_ask_as_the_readme_says() {
    let backend = Backend::start(Behaviour::Answer);
    let federation = Federation::start();
    let _node = federation.node(EU_BODY, &NodeSpec::openai("n1", &backend.url(), "DE"));
    let invite = federation.invite(EU_BODY, "app", "assistant");
    let folder = federation.folder().join("app");
    std::fs::create_dir_all(folder.join("proto")).unwrap();
    std::os::unix::fs::symlink(workspace().join("proto/schema"), folder.join("proto/schema")).unwrap();
    std::os::unix::fs::symlink(npm().join("node_modules"), folder.join("node_modules")).unwrap();
    std::fs::write(folder.join("app.py"), block("python_app").code).unwrap();
    std::fs::write(folder.join("app.ts"), block("typescript_app").code).unwrap();
    let ask = |script: &str| {
        let mut shell = shell(&folder, script);
        succeed(shell.env("INVITE", &invite).env("MODEL", "test-model").env("BROKER", federation.address()))
    };
    assert!(ask(&block("app_joins").code).contains("Paris"));
    let _stubs = ask(&block("python_stubs").code);
    assert!(ask("python app.py").contains("Paris"));
    assert!(ask("node_modules/.bin/tsx app.ts").contains("Paris"));
}

#[test]
fn an_operator_founds_and_governs_as_the_readme_says() {
    let folder = tempfile::tempdir().unwrap();
    let code = block("operating").code.replace("127.0.0.1:7443", &free_address());
    let (found, run) = code.split_once("comity-broker run").unwrap();
    let _founded = succeed(&mut shell(folder.path(), found));
    let _broker =
        Program::start("broker", &mut shell(folder.path(), &format!("exec comity-broker run{run}")), folder.path());
    let _ready = wait::for_file(&folder.path().join("federation/broker/data/address"));
    let _governed = succeed(&mut shell(folder.path(), &block("governing").code));
}
