//! `comity demo`: a federation on this machine, of real programs, and a story about who may ask whom.
//!
//! The demo is its own user: everything that it does, it does by running `comity`, `comity-broker` and
//! `comity-node` as anyone would.
//!
//! | module | holds |
//! |---|---|
//! | `cast` | the organisations, their nodes and apps |
//! | `story` | the steps, and what each should lead to |
//! | `play` | telling the steps and checking them |
//! | `federation` | founding, inviting, joining, starting |
//! | `models` | which model the story asks |
//! | `programs` | finding the three programs, or building them |
//! | `processes` | child processes that end with the demo |
//! | `folder` | where the files are |
//! | `epilogue` | what to try next |

mod cast;
mod epilogue;
mod federation;
mod folder;
mod models;
mod play;
mod processes;
mod programs;
mod story;

use std::io::{self, Write};
use std::path::PathBuf;
use std::pin::pin;

use clap::Args;
use comity_runtime::shutdown;

use crate::error::CliError;
use federation::Federation;
use folder::Folder;
use processes::Processes;
use programs::Programs;

/// Show a whole federation on this machine: a broker, three organisations' nodes, two apps, and a story.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// End after the story; 0 if every step went as it should
    #[arg(long)]
    once: bool,
    /// Keep everything in this directory, which has to be new or empty [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Tells the story, stays up until Ctrl-C unless told otherwise, and leaves no process behind.
pub(crate) async fn run(args: DemoArgs) -> Result<(), CliError> {
    let folder = Folder::open(args.dir)?;
    let mut processes = Processes::new(folder.logs());
    let mut stop = pin!(shutdown::requested());
    let told = tokio::select! {
        told = tell(&folder, &mut processes, args.once) => told.map_err(CliError::from),
        () = &mut stop => Err(interrupted()),
    };
    if told.is_ok() && !args.once {
        stop.await;
    }
    processes.stop().await;
    folder.close()?;
    match told?.as_slice() {
        [] => Ok(()),
        steps => Err(CliError::Demo { steps: steps.to_vec() }),
    }
}

/// The names of the steps that went another way than they should.
async fn tell(folder: &Folder, processes: &mut Processes, once: bool) -> Result<Vec<String>, DemoError> {
    let programs = Programs::find().await?;
    let ask = models::choose(&programs).await?;
    let federation = Box::pin(Federation::start(programs, folder, processes, &ask)).await?;
    let wrong = Box::pin(play::story(&federation, &ask)).await?;
    if !once {
        epilogue::print(&federation, &ask)?;
    }
    Ok(wrong)
}

fn interrupted() -> CliError {
    CliError::Interrupted { hint: "nothing is left running; `comity demo` begins again".to_owned() }
}

/// Why the demo cannot be played.
#[derive(Debug, thiserror::Error)]
enum DemoError {
    /// A program is neither beside this one nor can it be built.
    #[error("{} is missing", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A command that should have succeeded did not.
    #[error("`{command}` ended with {status}\n{said}")]
    Failed {
        /// What was run.
        command: String,
        /// How it ended.
        status: String,
        /// What it said.
        said: String,
    },
    /// A program that should serve ended, or is not ready in time.
    #[error("the {name} did not come up; the end of its log:\n{log}")]
    NotReady {
        /// Which.
        name: String,
        /// The last lines that it wrote.
        log: String,
    },
    /// A program's answer is not what it should be.
    #[error("`{command}` answered with other JSON than expected\n{said}")]
    Answer {
        /// What was run.
        command: String,
        /// What it printed.
        said: String,
    },
    /// The operating system said no.
    #[error("cannot {doing}")]
    System {
        /// What was tried.
        doing: String,
        /// Why not.
        source: io::Error,
    },
}

impl DemoError {
    fn system(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { doing: doing.into(), source }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::Missing { .. } => {
                "put comity-broker and comity-node beside comity, or run `cargo run --release --bin comity -- demo` in the source tree"
            }
            Self::Failed { .. } | Self::NotReady { .. } | Self::Answer { .. } | Self::System { .. } => {
                "`comity demo --dir DIR` keeps every file and log for a look"
            }
        }
    }
}

impl From<DemoError> for CliError {
    fn from(error: DemoError) -> Self {
        let hint = Some(error.hint().to_owned());
        Self::Client { doing: "play the demo", source: Box::new(error), hint }
    }
}

/// Prints a line of the story, with colours where a terminal shows them. A reader that went away is no error.
fn tell_line(text: &str) -> Result<(), DemoError> {
    match writeln!(anstream::stdout().lock(), "{text}") {
        Err(source) if source.kind() != io::ErrorKind::BrokenPipe => Err(DemoError::system("write to stdout")(source)),
        Ok(()) | Err(_) => Ok(()),
    }
}
