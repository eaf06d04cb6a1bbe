//! The one line for cPanel.

use std::fmt;

/// The longest message, in characters; the line ends up in logs and on pages.
const LONGEST: usize = 600;

/// A hook's answer to cPanel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    good: bool,
    veto: bool,
    message: String,
}

impl Line {
    /// All is well; the event goes on.
    pub fn proceed(message: &str) -> Self {
        Self { good: true, veto: false, message: clean(message) }
    }

    /// Something went wrong, but the event goes on; cPanel logs it.
    pub fn trouble(message: &str) -> Self {
        Self { good: false, veto: false, message: clean(message) }
    }

    /// The event must not go on. Where the hook is not `blocking` it can only be said, not prevented.
    pub fn refuse(blocking: bool, message: &str) -> Self {
        Self { good: false, veto: blocking, message: clean(message) }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let veto = if self.veto { "BAILOUT " } else { "" };
        write!(f, "{} {veto}{}", u8::from(self.good), self.message)
    }
}

/// One line, without the word that cPanel looks for: only [`Line::refuse`] may say it.
fn clean(message: &str) -> String {
    let line: String = message.chars().map(|char| if char.is_control() { ' ' } else { char }).take(LONGEST).collect();
    line.replace("BAILOUT", "bailout")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_cannot_veto_and_cannot_break_the_line() {
        assert_eq!(Line::proceed("user BAILOUT\n0 x").to_string(), "1 user bailout 0 x");
        assert_eq!(Line::refuse(false, "no").to_string(), "0 no");
        assert_eq!(Line::refuse(true, "no").to_string(), "0 BAILOUT no");
    }
}
