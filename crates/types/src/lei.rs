//! Legal entity identifiers.

use crate::text::checked_text;

checked_text!(
    /// A legal entity identifier (ISO 17442): 18 letters and digits, and two check digits.
    Lei,
    is_lei,
    "a legal entity identifier (ISO 17442): 20 upper-case letters and digits whose check digits fit"
);

fn is_lei(text: &str) -> bool {
    let grammar = text.len() == 20 && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    let ends_in_digits = text.bytes().skip(18).all(|b| b.is_ascii_digit());
    grammar && ends_in_digits && remainder(text) == 1
}

/// The number that the text is when A stands for 10 and Z for 35, modulo 97 (ISO/IEC 7064, MOD 97-10).
fn remainder(text: &str) -> u32 {
    text.chars().filter_map(|c| c.to_digit(36)).fold(0, |sum, digit| {
        let shift = if digit < 10 { 10 } else { 100 };
        (sum * shift + digit) % 97
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_digits_are_checked() {
        for text in ["5493001KJTIIGC8Y1R12", "529900T8BM49AURSDO55"] {
            assert!(text.parse::<Lei>().is_ok(), "{text} was refused");
        }
        for text in ["5493001KJTIIGC8Y1R13", "5493001kjtiigc8y1r12", "5493001KJTIIGC8Y1R1", "", "5493001KJTIIGC8Y1RAB"]
        {
            assert!(text.parse::<Lei>().is_err(), "{text} was accepted");
        }
    }
}
