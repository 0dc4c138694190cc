use std::cell::{Cell, RefCell};

use super::*;

struct Files {
    _folder: tempfile::TempDir,
    job: Job,
}

fn files(texts: usize) -> Files {
    let folder = tempfile::tempdir().unwrap();
    let lines: String =
        (1..=texts).map(|number| format!("{{\"id\": {number}, \"text\": \"text {number}\"}}\n")).collect();
    std::fs::write(folder.path().join("in.jsonl"), lines).unwrap();
    let (input, output) = (folder.path().join("in.jsonl"), folder.path().join("out.jsonl"));
    let job = Job { input, output, model: "m".into(), batch: 3, in_flight: 4 };
    Files { _folder: folder, job }
}

impl Files {
    fn output(&self) -> String {
        std::fs::read_to_string(&self.job.output).unwrap()
    }

    fn lines(&self) -> Vec<u64> {
        let number = |line: &str| serde_json::from_str::<Done>(line).unwrap().line;
        self.output().lines().map(number).collect()
    }

    fn replace_output(&self, text: &str) {
        std::fs::write(&self.job.output, text).unwrap();
    }

    /// Runs it with vectors of one component, the length of the text.
    async fn run(&self) -> Result<Outcome, CliError> {
        let plan = self.job.plan()?;
        self.job.run(&plan, |texts| async move { Ok(vectors(&texts)) }, |_| ()).await
    }
}

#[expect(clippy::cast_precision_loss, reason = "the texts of these tests are short")]
fn vectors(texts: &[String]) -> Vec<Vec<f32>> {
    texts.iter().map(|text| vec![text.len() as f32]).collect()
}

fn failure() -> CliError {
    CliError::Client { doing: "embed", source: Box::new(std::io::Error::other("down")), hint: None }
}

#[tokio::test]
async fn every_text_is_embedded_once_and_in_order() {
    let files = files(10);
    assert_eq!(files.run().await.unwrap(), Outcome { embedded: 10, were_done: 0 });
    assert_eq!(files.lines(), (1..=10).collect::<Vec<_>>());
    let first: serde_json::Value = serde_json::from_str(files.output().lines().next().unwrap()).unwrap();
    assert_eq!((&first["id"], &first["model"], &first["embedding"][0]), (&1.into(), &"m".into(), &6.0.into()));
}

#[tokio::test]
async fn calls_are_in_flight_together_and_no_more_than_allowed() {
    let (now, most) = (Cell::new(0), Cell::new(0));
    let files = files(60);
    let embed = async |texts: Vec<String>| {
        now.set(now.get() + 1);
        most.set(most.get().max(now.get()));
        tokio::task::yield_now().await;
        now.set(now.get() - 1);
        Ok(vectors(&texts))
    };
    let _done = files.job.run(&files.job.plan().unwrap(), embed, |_| ()).await.unwrap();
    assert_eq!(most.get(), 4);
}

#[tokio::test]
async fn what_was_stopped_goes_on_after_the_last_whole_line_and_asks_for_nothing_twice() {
    let files = files(10);
    let (asked, calls) = (RefCell::new(Vec::new()), Cell::new(0));
    let stops = async |texts: Vec<String>| {
        calls.set(calls.get() + 1);
        if calls.get() > 2 { Err(failure()) } else { Ok(vectors(&texts)) }
    };
    let stopped = files.job.run(&files.job.plan().unwrap(), stops, |_| ()).await;
    assert!(stopped.is_err());
    assert_eq!(files.lines(), [1, 2, 3, 4, 5, 6], "what was answered is kept");
    files.replace_output(&format!("{}{}", files.output(), "{\"line\":7,\"mod"));
    let plan = files.job.plan().unwrap();
    assert_eq!((plan.texts, plan.done), (10, 6));
    let goes_on = async |texts: Vec<String>| {
        asked.borrow_mut().extend(texts.clone());
        Ok(vectors(&texts))
    };
    let outcome = files.job.run(&plan, goes_on, |_| ()).await.unwrap();
    assert_eq!(outcome, Outcome { embedded: 4, were_done: 6 });
    assert_eq!(asked.into_inner(), ["text 7", "text 8", "text 9", "text 10"]);
    assert_eq!(files.lines(), (1..=10).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_is_complete_is_left_as_it_is() {
    let files = files(4);
    let _first = files.run().await.unwrap();
    let before = files.output();
    assert_eq!(files.run().await.unwrap(), Outcome { embedded: 0, were_done: 4 });
    assert_eq!(files.output(), before);
}

#[tokio::test]
async fn the_output_of_another_input_or_model_is_not_touched() {
    let mut files = files(4);
    let _first = files.run().await.unwrap();
    let before = files.output();
    files.job.model = "another".into();
    assert!(files.run().await.is_err());
    files.job.model = "m".into();
    std::fs::write(&files.job.input, "\"something else\"\n").unwrap();
    assert!(matches!(files.run().await, Err(CliError::BadFile { .. })));
    assert_eq!(files.output(), before);
}

#[tokio::test]
async fn a_broken_line_is_named_before_anything_is_sent() {
    let files = files(2);
    std::fs::write(&files.job.input, "\"good\"\n{\"txt\": 1}\n").unwrap();
    let error = files.job.plan().unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("line 2") && source.contains("text"), "{source}");
}

#[tokio::test]
async fn an_answer_with_too_few_vectors_is_an_error() {
    let files = files(3);
    let plan = files.job.plan().unwrap();
    let outcome = files.job.run(&plan, async |_| Ok(vec![vec![1.0]]), |_| ()).await;
    assert!(outcome.is_err());
    assert_eq!(files.output(), "");
}

#[tokio::test]
async fn two_runs_do_not_write_to_one_output() {
    let files = files(3);
    let held = OpenOptions::new().create(true).append(true).open(&files.job.output).unwrap();
    held.lock().unwrap();
    assert!(matches!(files.run().await, Err(CliError::File { doing: "lock", .. })));
    drop(held);
    assert!(files.run().await.is_ok());
}
