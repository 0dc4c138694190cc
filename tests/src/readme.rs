//! The fenced blocks of a Markdown file, so that every command the README shows can
//! be run, and a block that nothing runs can be found.

/// A fenced block of code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// What stands behind the fence: `sh`, `python`, `ts`, or nothing.
    pub language: String,
    /// The test that runs it: the word behind `test:` in the HTML comment on the line above.
    pub test: Option<String>,
    /// The code.
    pub code: String,
    /// The line of the fence, from 1.
    pub line: usize,
}

/// Languages whose blocks a reader would run.
const RUNNABLE: &[&str] = &["sh", "python", "ts", "toml"];

impl Block {
    /// True if a reader would run it.
    #[must_use]
    pub fn is_runnable(&self) -> bool {
        RUNNABLE.contains(&self.language.as_str())
    }
}

/// All fenced blocks of a text.
#[must_use]
pub fn blocks(markdown: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut above = "";
    let mut open: Option<Block> = None;
    for (index, line) in markdown.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => {
                let test = above.strip_prefix("<!-- test:").and_then(|rest| rest.strip_suffix("-->"));
                let test = test.map(|name| name.trim().to_owned());
                open = Some(Block { language: language.trim().to_owned(), test, code: String::new(), line: index + 1 });
            }
            (Some(_), Some(_)) => found.extend(open.take()),
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

    #[test]
    fn blocks_are_found_with_their_language_and_their_test() {
        let text = "words\n<!-- test: joins -->\n```sh\ncomity demo\n```\n\n```\npicture\n```\n";
        let found = blocks(text);
        assert_eq!(found.len(), 2);
        assert_eq!(
            (found[0].test.as_deref(), found[0].code.as_str(), found[0].line),
            (Some("joins"), "comity demo\n", 3)
        );
        assert!(found[0].is_runnable() && !found[1].is_runnable());
    }
}
