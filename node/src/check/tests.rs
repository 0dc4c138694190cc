//! What is wrong is named, with its field and what mends it.

use std::os::unix::fs::PermissionsExt as _;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

#[test]
fn the_stand_in_is_a_node() {
    assert_eq!(NOT_JOINED.parse::<SpiffeId>().unwrap().kind(), comity_types::ids::Kind::Node);
}

#[test]
fn the_table_aligns_lines_places_and_the_lines_of_problems() {
    let misfits = [
        Misfit { line: Some(12), ..Misfit::new("offers.a.terms", "missing") },
        Misfit::new("b", "down\nhint: start it"),
    ];
    let expected = "LINE  WHERE           WHAT IS WRONG\n  12  offers.a.terms  missing\n      b               down\n                      hint: start it\n";
    assert_eq!(table(&misfits), expected);
}

#[tokio::test]
async fn a_model_file_that_is_missing_is_named_once_with_what_to_do() {
    let toml = r#"
        [node]
        listen = "127.0.0.1:0"
        data_dir = "no-such-folder"
        [backends.text]
        kind = "embedded-text"
        path = "no-such.gguf"
    "#;
    let misfits = check(&Config::parse(toml).unwrap()).await;
    let problem = &misfits.iter().find(|misfit| misfit.path == "backends.text").unwrap().problem;
    assert_eq!(problem.matches("cannot read the model no-such.gguf").count(), 1, "{problem}");
    assert!(problem.contains("No such file") && problem.contains("\nhint: `comity-node model fetch"), "{problem}");
}

#[tokio::test]
async fn an_embedded_model_that_should_chat_and_a_server_that_is_down_are_found() {
    let toml = r#"
        [node]
        listen = "127.0.0.1:0"
        data_dir = "no-such-folder"
        [backends.small]
        kind = "embedded-embeddings"
        [backends.server]
        kind = "openai"
        url = "http://127.0.0.1:9/v1"
        [terms.standard]
        retention = []
        training_use = "never"
        allowed_purposes = ["dpv:Purpose"]
        caller_rules = { served = "everyone" }
        [[offers]]
        id = "embed"
        model = "small"
        backend = "small"
        capabilities = ["embed", "chat"]
        processing_locations = ["DE"]
        sub_processors = []
        licence = "Apache-2.0"
        terms = "standard"
    "#;
    let misfits = check(&Config::parse(toml).unwrap()).await;
    let paths: Vec<_> = misfits.iter().map(|misfit| misfit.path.as_str()).collect();
    assert_eq!(paths, ["backends.server", "offers.embed.capabilities"], "{misfits:?}");
    assert!(misfits[0].problem.contains("127.0.0.1:9"), "{}", misfits[0].problem);
}

/// What is wrong with an offer that is `lines` of a chat model behind `url`, in the order that it is found.
async fn wrong(url: &str, lines: &[(&str, &str)]) -> Vec<Misfit> {
    let mut toml = CHAT.replace("URL", url);
    for (line, other) in lines {
        assert!(toml.contains(line), "{line}");
        toml = toml.replace(line, other);
    }
    check(&Config::parse(&toml).unwrap()).await
}

fn paths(misfits: &[Misfit]) -> Vec<&str> {
    misfits.iter().map(|misfit| misfit.path.as_str()).collect()
}

const CHAT: &str = r#"[node]
listen = "127.0.0.1:0"
data_dir = "no-such-folder"
[backends.server]
kind = "openai"
url = "URL"
[terms.standard]
retention = []
training_use = "never"
allowed_purposes = ["dpv:Purpose"]
prohibited_purposes = ["dpv:Marketing"]
[terms.standard.caller_rules]
served = ["EU", "US-CA"]
served_except = ["RU"]
ownership = [{ id = "control", target = ["CN"] }]
[[offers]]
id = "chat"
model = "m"
backend = "server"
capabilities = ["chat"]
processing_locations = ["DE"]
sub_processors = []
licence = "Apache-2.0"
terms = "standard"
"#;

/// A web server that says this to every request.
async fn server(status: &'static str, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://someone:secret@{}/v1?key=secret", listener.local_addr().unwrap());
    #[expect(clippy::disallowed_methods, reason = "the server under the test")]
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 8192];
            let _read = stream.read(&mut request).await;
            let answer = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            let _written = stream.write_all(answer.as_bytes()).await;
        }
    });
    url
}

#[tokio::test]
async fn a_web_server_that_is_no_model_server_is_found_by_the_request_that_fails() {
    let misfits = wrong(&server("404 Not Found", "{}").await, &[]).await;
    assert_eq!(paths(&misfits), ["offers.chat"], "{misfits:?}");
    let problem = &misfits[0].problem;
    for part in ["tiny chat request failed", "404", "hint", "`url`", "`backend_model`", "`capabilities`"] {
        assert!(problem.contains(part), "{part}: {problem}");
    }
    assert!(!problem.contains("secret") && misfits[0].line == Some(16), "{misfits:?}");
}

#[tokio::test]
async fn a_server_that_answers_is_in_order_and_one_that_cannot_embed_is_not() {
    let answer = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"length"}],
        "usage":{"prompt_tokens":1,"completion_tokens":1},"data":[{"id":"m"}]}"#;
    let url = server("200 OK", answer).await;
    assert_eq!(wrong(&url, &[]).await, []);
    let misfits = wrong(&url, &[(r#"["chat"]"#, r#"["embed"]"#)]).await;
    assert!(paths(&misfits) == ["offers.chat"] && misfits[0].problem.contains("tiny embed request"), "{misfits:?}");
    let misfits = wrong(&url, &[(r#"["chat"]"#, r#"["embed", "image-input"]"#)]).await;
    assert_eq!(paths(&misfits), ["offers.chat.capabilities"], "{misfits:?}");
    assert_eq!(wrong(&url, &[(r#"["chat"]"#, r#"["forward"]"#)]).await, []);
    let url = server("503 Service Unavailable", "{}").await;
    assert_eq!(paths(&wrong(&url, &[]).await), ["backends.server"]);
}

#[tokio::test]
async fn codes_that_no_table_has_are_named_with_their_lines() {
    let misfits = wrong(
        "http://127.0.0.1:9",
        &[
            ("dpv:Purpose", "dpv:Purpos"),
            ("dpv:Marketing", "dpv:Marketting"),
            ("\"EU\", ", "\"EUU\", "),
            ("[\"RU\"]", "[\"RUS\"]"),
            ("[\"CN\"]", "[\"XX-LIST\"]"),
            ("Apache-2.0", "nonsense licence"),
            ("[\"DE\"]", "[]"),
            ("no-such-folder", "/proc/nope"),
        ],
    )
    .await;
    let found: Vec<_> = misfits.iter().map(|misfit| (misfit.line.unwrap(), misfit.path.as_str())).collect();
    let rules = "terms.standard.caller_rules";
    let expected = [
        (3, "node.data_dir".to_owned()),
        (4, "backends.server".to_owned()),
        (10, "terms.standard.allowed_purposes".to_owned()),
        (11, "terms.standard.prohibited_purposes".to_owned()),
        (13, format!("{rules}.served")),
        (14, format!("{rules}.served_except")),
        (15, format!("{rules}.ownership")),
        (21, "offers.chat.processing_locations".to_owned()),
        (23, "offers.chat.licence".to_owned()),
    ];
    assert_eq!(found, expected.each_ref().map(|(line, path)| (*line, path.as_str())), "{misfits:?}");
}

#[tokio::test]
async fn a_key_that_everybody_can_read_is_refused_with_the_command_that_mends_it() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, "a key").unwrap();
    let line = format!("kind = \"openai\"\napi_key_file = {key:?}");
    let mode = |mode| std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    let misfits = wrong("http://127.0.0.1:9", &[("kind = \"openai\"", &line)]).await;
    assert!(misfits[0].problem.contains("api_key_file") && misfits[0].problem.contains("chmod 600"), "{misfits:?}");
    mode(0o640);
    let misfits = wrong("http://127.0.0.1:9", &[("kind = \"openai\"", &line)]).await;
    assert!(misfits[0].problem.contains("cannot be reached"), "{misfits:?}");
}
