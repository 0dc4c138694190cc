//! A program whose talk goes to a terminal, as a person has it: standard library of Python has the terminal.

use std::process::Command;

use serde_json::Value;

use crate::clients::python;
use crate::program::succeed;

/// Runs what stands behind it with stderr on a terminal of 100 columns, and says what came by which way.
const ON_A_TERMINAL: &str = r#"
import fcntl, json, os, pty, struct, subprocess, sys, termios, threading
ours, its = pty.openpty()
fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
program = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=its,
                           env={**os.environ, "TERM": "xterm"})
os.close(its)
shown = bytearray()
def watch():
    try:
        while part := os.read(ours, 65536):
            shown.extend(part)
    except OSError:                                        # the other end is closed
        pass
watching = threading.Thread(target=watch)
watching.start()
stdout = program.stdout.read()
status = program.wait()
watching.join()
print(json.dumps({"status": status, "stdout": stdout.decode(), "shown": shown.decode()}))
"#;

/// What became of a program whose stderr was a terminal.
#[derive(Debug)]
pub struct Seen {
    /// Its exit status.
    pub status: i64,
    /// What it wrote to stdout, which was a pipe.
    pub stdout: String,
    /// All that it ever wrote to the terminal, with what steers it.
    pub shown: String,
}

/// Runs a program with its stderr on a terminal.
///
/// # Panics
/// If it does not start.
#[must_use]
pub fn run_on_a_terminal(command: &Command) -> Seen {
    let mut watched = Command::new(python());
    watched.args(["-c", ON_A_TERMINAL]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => watched.env(name, value),
            None => watched.env_remove(name),
        };
    }
    let seen: Value = serde_json::from_str(&succeed(&mut watched)).unwrap();
    let text = |name: &str| seen[name].as_str().unwrap().to_owned();
    Seen { status: seen["status"].as_i64().unwrap(), stdout: text("stdout"), shown: text("shown") }
}
