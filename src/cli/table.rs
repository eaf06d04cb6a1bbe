//! Tables and cards for people. A table that does not fit the terminal becomes cards: one field a line, nothing cut off.

use super::output::printable;
use unicode_width::UnicodeWidthStr as _;

const GAP: usize = 2;

/// A list of like things. The first column names the thing.
pub struct Table {
    titles: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column titles.
    pub fn new(titles: &[&'static str]) -> Self {
        Self { titles: titles.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; it has as many cells as there are titles.
    pub fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.titles.len());
        self.rows.push(cells.iter().map(|cell| printable(cell).replace('\n', " ")).collect());
    }

    /// The text for a terminal of `width` columns; `None` for no limit.
    pub fn render(&self, width: Option<usize>) -> String {
        let mut widths: Vec<usize> = self.titles.iter().map(|title| title.width()).collect();
        for row in &self.rows {
            for (cell, widest) in row.iter().zip(&mut widths) {
                *widest = (*widest).max(cell.width());
            }
        }
        let needed = widths.iter().sum::<usize>() + GAP * (widths.len().saturating_sub(1));
        if width.is_some_and(|width| needed > width) { self.cards(width) } else { self.lines(&widths) }
    }

    fn lines(&self, widths: &[usize]) -> String {
        let titles: Vec<String> = self.titles.iter().map(|title| title.to_uppercase()).collect();
        let numeric: Vec<bool> = (0..widths.len())
            .map(|column| {
                !self.rows.is_empty()
                    && self
                        .rows
                        .iter()
                        .all(|row| row[column] == "-" || row[column].starts_with(|first: char| first.is_ascii_digit()))
                    && self.rows.iter().all(|row| row[column].chars().all(|char| !char.is_alphabetic()))
            })
            .collect();
        let mut text = String::new();
        for row in std::iter::once(&titles).chain(&self.rows) {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let pad = " ".repeat(widths[column].saturating_sub(cell.width()));
                let gap = if column == 0 { "" } else { "  " };
                line.push_str(gap);
                if numeric[column] {
                    line.push_str(&pad);
                    line.push_str(cell);
                } else {
                    line.push_str(cell);
                    line.push_str(&pad);
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    fn cards(&self, width: Option<usize>) -> String {
        let mut text = String::new();
        for row in &self.rows {
            let mut card = Card::new(&row[0]);
            for (title, cell) in self.titles.iter().zip(row).skip(1) {
                card.field(title, cell);
            }
            text.push_str(&card.render(width));
        }
        text
    }
}

/// One thing in detail: a heading, and a label and a value a line.
pub struct Card {
    heading: String,
    fields: Vec<(String, String)>,
}

impl Card {
    /// A card with this heading.
    pub fn new(heading: &str) -> Self {
        Self { heading: printable(heading), fields: Vec::new() }
    }

    /// Adds a field; a value of several lines keeps them.
    pub fn field(&mut self, label: &str, value: &str) {
        self.fields.push((label.to_lowercase(), printable(value)));
    }

    /// The text for a terminal of `width` columns; `None` for no limit.
    pub fn render(&self, width: Option<usize>) -> String {
        let label_width = self.fields.iter().map(|(label, _)| label.width()).max().unwrap_or(0);
        let indent = 2 + label_width + GAP;
        let room = width.map(|width| width.saturating_sub(indent).max(16));
        let mut text = format!("{}\n", self.heading);
        for (label, value) in &self.fields {
            let mut start = format!("  {label}{}", " ".repeat(label_width - label.width() + GAP));
            for line in value.lines().flat_map(|line| wrap(line, room)) {
                text.push_str(format!("{start}{line}").trim_end());
                text.push('\n');
                start = " ".repeat(indent);
            }
        }
        text
    }
}

/// Breaks a line between words so that it fits `room` columns; a word that is longer stays whole.
fn wrap(line: &str, room: Option<usize>) -> Vec<String> {
    let Some(room) = room else { return vec![line.to_owned()] };
    let mut lines = vec![String::new()];
    for word in line.split(' ') {
        let last = lines.len() - 1;
        if lines[last].is_empty() {
            lines[last].push_str(word);
        } else if lines[last].width() + 1 + word.width() <= room {
            lines[last].push(' ');
            lines[last].push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes() -> Table {
        let mut table = Table::new(&["alias", "hostname", "accounts", "state"]);
        table.row(vec!["mail1".into(), "mail1.example.com".into(), "12".into(), "ok".into()]);
        table.row(vec![
            "m2".into(),
            "mail2.example.com".into(),
            "3".into(),
            "No answer within 5 seconds, last seen 3 h ago".into(),
        ]);
        table
    }

    #[test]
    fn a_wide_terminal_gets_aligned_columns() {
        assert_eq!(
            nodes().render(Some(120)),
            "ALIAS  HOSTNAME           ACCOUNTS  STATE\n\
             mail1  mail1.example.com        12  ok\n\
             m2     mail2.example.com         3  No answer within 5 seconds, last seen 3 h ago\n"
        );
    }

    #[test]
    fn a_narrow_terminal_gets_cards_that_fit_it() {
        let text = nodes().render(Some(44));
        assert_eq!(
            text,
            "mail1\n  hostname  mail1.example.com\n  accounts  12\n  state     ok\n\
             m2\n  hostname  mail2.example.com\n  accounts  3\n  state     No answer within 5 seconds, last\n            seen 3 h ago\n"
        );
        assert!(text.lines().all(|line| line.width() <= 44));
    }

    #[test]
    fn a_pipe_gets_the_whole_table() {
        assert!(nodes().render(None).starts_with("ALIAS"));
    }
}
