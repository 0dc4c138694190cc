//! The thread that writes lines, and the queue before it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use tokio::sync::oneshot;

use super::Lines;

/// Most lines that wait, of less than a KiB each: what a disk that pauses for a moment may be behind by.
pub(super) const QUEUE: usize = 4096;
/// Most bytes that are written at once.
const BATCH: usize = 64 * 1024;
/// Who may read the file: its owner and a group, such as that of whoever ships logs.
const MODE: u32 = 0o640;

/// What the thread is told.
#[derive(Debug)]
enum Told {
    Line(String),
    Reopen,
    Flush(oneshot::Sender<()>),
}

/// The queue of the thread, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Writer {
    queue: SyncSender<Told>,
    counts: Counts,
}

/// What became of lines. Clones are the same.
#[derive(Debug, Clone)]
struct Counts {
    lines: Lines,
    /// Whether people know already that lines are dropped.
    is_told: Arc<AtomicBool>,
}

impl Writer {
    /// Appends to `file`, or writes to stderr.
    pub(super) fn start(file: Option<PathBuf>, lines: Lines) -> io::Result<Self> {
        let (queue, told) = sync_channel(QUEUE);
        let counts = Counts { lines, is_told: Arc::default() };
        let sink = Sink::open(file)?;
        let mut thread = Thread { told, sink, counts: counts.clone(), waiting: Vec::new(), lines: 0, is_torn: false };
        // Not a task: a disk may hang for as long as it likes, and nobody has to wait for this thread.
        std::thread::Builder::new().name("access-log".to_owned()).spawn(move || thread.run())?;
        Ok(Self { queue, counts })
    }

    pub(super) fn tell(&self, mut line: String) {
        line.push('\n');
        if self.queue.try_send(Told::Line(line)).is_err() {
            self.counts.dropped(1, "too many wait to be written");
        }
    }

    pub(super) fn reopen(&self) {
        if self.queue.try_send(Told::Reopen).is_err() {
            tracing::warn!("the access log is not opened anew: too many lines wait (hint: ask again)");
        }
    }

    pub(super) async fn flush(&self, deadline: Duration) {
        let (done, written) = oneshot::channel();
        // With a queue that is full there is no hope that all will be written in time.
        if self.queue.try_send(Told::Flush(done)).is_ok() {
            let _in_time = tokio::time::timeout(deadline, written).await.is_ok();
        }
    }
}

impl Counts {
    fn written(&self, lines: u64) {
        self.add("written", lines);
        if self.is_told.swap(false, Ordering::Relaxed) {
            tracing::info!("the access log is written again");
        }
    }

    fn dropped(&self, lines: u64, why: &str) {
        self.add("dropped", lines);
        if !self.is_told.swap(true, Ordering::Relaxed) {
            tracing::warn!(why, "lines of the access log are dropped (hint: look for free space where it is written)");
        }
    }

    fn add(&self, outcome: &'static str, lines: u64) {
        self.lines.get_or_create(&[("outcome", outcome)]).inc_by(lines);
    }
}

/// Where lines go.
#[derive(Debug)]
enum Sink {
    Stderr,
    File { path: PathBuf, file: File },
}

impl Sink {
    fn open(path: Option<PathBuf>) -> io::Result<Self> {
        let Some(path) = path else { return Ok(Self::Stderr) };
        let file = OpenOptions::new().append(true).create(true).mode(MODE).open(&path)?;
        Ok(Self::File { path, file })
    }

    fn reopen(&mut self) {
        let Self::File { path, .. } = self else { return };
        match Self::open(Some(path.clone())) {
            Ok(opened) => *self = opened,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the access log cannot be opened anew: it goes on in the old file");
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Stderr => io::stderr().write_all(bytes),
            Self::File { file, .. } => file.write_all(bytes),
        }
    }
}

/// The thread.
struct Thread {
    told: Receiver<Told>,
    sink: Sink,
    counts: Counts,
    /// Lines that are written together.
    waiting: Vec<u8>,
    /// How many those are.
    lines: u64,
    /// A line may have been cut by a write that failed: the next begins a line of its own.
    is_torn: bool,
}

impl Thread {
    fn run(&mut self) {
        while let Ok(first) = self.told.recv() {
            self.take(first);
            // Whatever else is there, in one write.
            while self.waiting.len() < BATCH
                && let Ok(next) = self.told.try_recv()
            {
                self.take(next);
            }
            self.write();
        }
    }

    fn take(&mut self, told: Told) {
        match told {
            Told::Line(line) => {
                self.waiting.extend_from_slice(line.as_bytes());
                self.lines += 1;
            }
            Told::Reopen => {
                self.write();
                self.sink.reopen();
            }
            Told::Flush(done) => {
                self.write();
                let _left = done.send(());
            }
        }
    }

    fn write(&mut self) {
        if self.lines == 0 {
            return;
        }
        if self.is_torn {
            self.waiting.insert(0, b'\n');
        }
        match self.sink.write(&self.waiting) {
            Ok(()) => {
                self.is_torn = false;
                self.counts.written(self.lines);
            }
            Err(error) => {
                self.is_torn = true;
                self.counts.dropped(self.lines, &error.to_string());
            }
        }
        self.waiting.clear();
        self.lines = 0;
    }
}
