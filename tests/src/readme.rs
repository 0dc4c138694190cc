//! The fenced blocks of the README, each with its name, and a record of those that somebody took to run.

use std::collections::BTreeSet;
use std::sync::Mutex;

use crate::program::workspace;

/// A fenced block of code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// What stands behind the fence: `sh`, `python`, `ts`, or nothing.
    pub language: String,
    /// Its name: the word behind `block:` in the HTML comment on the line above.
    pub name: Option<String>,
    /// The code.
    pub code: String,
    /// The line of the fence, from 1.
    pub line: usize,
}

/// The one block that nobody runs: a picture has no language.
const PICTURE: &str = "";

/// The code of the one block of a document, by its path from the workspace, that has this name.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn block_of(document: &str, name: &str) -> String {
    let text = std::fs::read_to_string(workspace().join(document)).unwrap();
    let found = blocks(&text).into_iter().find(|block| block.name.as_deref() == Some(name));
    found.unwrap_or_else(|| panic!("{document} has no block named {name:?}")).code
}

/// A file with blocks, and which of them were taken.
#[derive(Debug)]
pub struct Readme {
    blocks: Vec<Block>,
    order: String,
    taken: Mutex<BTreeSet<usize>>,
}

impl Readme {
    /// The README of the workspace.
    ///
    /// # Panics
    /// If it cannot be read.
    #[must_use]
    pub fn open() -> Self {
        Self::of(&std::fs::read_to_string(workspace().join("README.md")).unwrap())
    }

    fn of(markdown: &str) -> Self {
        let order = markdown.lines().find_map(|line| line.strip_prefix("<!-- order:")?.strip_suffix("-->"));
        Self { blocks: blocks(markdown), order: order.unwrap_or_default().to_owned(), taken: Mutex::default() }
    }

    /// The blocks that somebody follows who begins with nothing, in the order that the text tells them: the comment
    /// `<!-- order: names -->` below it. None where there is none.
    #[must_use]
    pub fn order(&self) -> Vec<&str> {
        self.order.split_whitespace().collect()
    }

    /// The block with this name, to be run: it counts as run from here on, so that only
    /// [`Reader`](crate::reader::Reader), which runs it, takes one.
    ///
    /// # Panics
    /// If there is none, or more than one.
    pub(crate) fn take(&self, name: &str) -> &Block {
        let found: Vec<&Block> = self.blocks.iter().filter(|block| block.name.as_deref() == Some(name)).collect();
        let [block] = found[..] else { panic!("README.md has {} blocks named {name:?}, not one", found.len()) };
        self.taken.lock().unwrap().insert(block.line);
        block
    }

    /// The blocks that nobody ran, as `README.md:LINE`.
    ///
    /// # Panics
    /// If who took a block panicked at that.
    #[must_use]
    pub fn not_run(&self) -> Vec<String> {
        let taken = self.taken.lock().unwrap();
        let left = self.blocks.iter().filter(|block| block.language != PICTURE && !taken.contains(&block.line));
        left.map(|block| format!("README.md:{}", block.line)).collect()
    }
}

/// All fenced blocks of a text.
fn blocks(markdown: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut above = "";
    let mut open: Option<Block> = None;
    for (index, line) in markdown.lines().enumerate() {
        match (&mut open, line.trim_start().strip_prefix("```")) {
            (None, Some(language)) => {
                let name = above.strip_prefix("<!-- block:").and_then(|rest| rest.strip_suffix("-->"));
                let name = name.map(|name| name.trim().to_owned());
                open = Some(Block { language: language.trim().to_owned(), name, code: String::new(), line: index + 1 });
            }
            (Some(_), Some(_)) => {
                found.extend(open.take());
                above = "";
            }
            (Some(block), None) => {
                block.code.push_str(line);
                block.code.push('\n');
            }
            (None, None) => above = line,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "words\n<!-- block: joins -->\n```sh\ncomity demo\n```\n\n```\npicture\n```\n```yaml\na: b\n```\n";

    #[test]
    fn blocks_are_found_with_their_language_and_their_name() {
        let found = blocks(TEXT);
        assert_eq!(found.len(), 3);
        assert_eq!(
            (found[0].name.as_deref(), found[0].code.as_str(), found[0].line),
            (Some("joins"), "comity demo\n", 3)
        );
        assert_eq!(found[1].name, None);
    }

    #[test]
    fn the_order_is_told_in_a_comment() {
        assert_eq!(Readme::of("a\n<!-- order: joins asks -->\n").order(), ["joins", "asks"]);
        assert!(Readme::of(TEXT).order().is_empty());
    }

    #[test]
    fn a_block_that_nobody_took_is_left_whatever_its_language_and_a_picture_is_not() {
        let readme = Readme::of(TEXT);
        assert_eq!(readme.not_run(), ["README.md:3", "README.md:10"]);
        assert_eq!(readme.take("joins").code, "comity demo\n");
        assert_eq!(readme.not_run(), ["README.md:10"]);
    }
}
