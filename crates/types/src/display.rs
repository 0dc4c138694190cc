//! Text of others that people read: on a terminal, some characters do more than stand there.

/// True for a character that steers what shows it: control characters (Unicode Cc) move cursors and hide lines, and
/// the marks of writing direction show a text in another order than the one in which it is compared.
#[must_use]
pub fn steers(character: char) -> bool {
    let direction = matches!(
        character,
        '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    character.is_control() || direction
}

/// The text without such characters; line ends and tabs stay.
#[must_use]
pub fn harmless(text: &str) -> String {
    text.chars().filter(|character| matches!(character, '\n' | '\t') || !steers(*character)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_that_moves_a_cursor_or_turns_a_text_around() {
        assert_eq!(harmless("a\u{1b}[4D\u{7}b\r\u{9b}2J"), "a[4Db2J");
        assert_eq!(harmless("evil\u{202e}txt.exe"), "eviltxt.exe");
        assert_eq!(harmless("Å\tb\nç 東京"), "Å\tb\nç 東京");
    }
}
