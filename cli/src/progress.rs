//! How far a long verification is: a bar on stderr while it goes on, on terminals alone. What is piped, logged or read by a program
//! gets none of it.

use std::cell::{Cell, RefCell};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// From how many on progress is shown: fewer are done in an instant.
const SHOWN_FROM: u64 = 2_000;

/// A bar that goes away with this.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    taken: Cell<u64>,
    /// Where it is to be shown once there were enough; none where it is shown already, or never will be.
    waiting: RefCell<Option<ProgressDrawTarget>>,
}

impl Progress {
    /// Of so many, such as `leaves`; what is not known beforehand is counted.
    pub(crate) fn of(total: Option<u64>, what: &'static str) -> Self {
        Self::on(ProgressDrawTarget::stderr(), total, what)
    }

    fn on(target: ProgressDrawTarget, total: Option<u64>, what: &'static str) -> Self {
        let template = match total {
            Some(_) => "{wide_bar} {pos}/{len} {msg}, {per_sec}, {eta} left",
            None => "{spinner} {pos} {msg}, {per_sec}",
        };
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden()).with_message(what);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        // Of few nothing is shown at all; of many from the first on.
        let waiting = total.is_none_or(|total| total >= SHOWN_FROM).then_some(target);
        let progress = Self { bar, taken: Cell::new(0), waiting: RefCell::new(waiting) };
        if total.is_some() {
            progress.show();
        }
        progress
    }

    /// One more is done.
    pub(crate) fn inc(&self) {
        self.taken.set(self.taken.get().saturating_add(1));
        if self.taken.get() == SHOWN_FROM {
            self.show();
        }
        self.bar.inc(1);
    }

    fn show(&self) {
        if let Some(target) = self.waiting.borrow_mut().take() {
            self.bar.set_draw_target(target);
            self.bar.tick();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use indicatif::TermLike;

    use super::*;

    /// A terminal that keeps what was ever written to it.
    #[derive(Debug, Clone, Default)]
    struct Terminal(Arc<Mutex<String>>);

    impl Terminal {
        fn written(&self) -> String {
            self.0.lock().unwrap().clone()
        }

        /// What is written while so many of `total` are done.
        fn after(total: Option<u64>, done: u64) -> String {
            let terminal = Self::default();
            let target = ProgressDrawTarget::term_like_with_hz(Box::new(terminal.clone()), u8::MAX);
            let progress = Progress::on(target, total, "leaves");
            (0..done).for_each(|_| progress.inc());
            drop(progress);
            terminal.written()
        }
    }

    impl TermLike for Terminal {
        fn width(&self) -> u16 {
            80
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(text)
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }
        fn clear_line(&self) -> io::Result<()> {
            self.write_str("<cleared>")
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn of_many_it_is_shown_from_the_first_on_and_goes_away_at_the_end() {
        let written = Terminal::after(Some(SHOWN_FROM), SHOWN_FROM);
        assert!(written.contains("/2000 leaves, "), "{written}");
        assert!(written.ends_with("<cleared>"), "{written}");
    }

    #[test]
    fn of_an_unknown_number_it_is_shown_once_there_were_many() {
        assert_eq!(Terminal::after(None, SHOWN_FROM - 1), "");
        let written = Terminal::after(None, SHOWN_FROM + 1);
        assert!(written.contains(" leaves, ") && written.ends_with("<cleared>"), "{written}");
    }

    #[test]
    fn of_few_nothing_is_shown() {
        assert_eq!(Terminal::after(Some(SHOWN_FROM - 1), SHOWN_FROM - 1), "");
    }
}
