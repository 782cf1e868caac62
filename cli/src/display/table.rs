//! Aligned text tables.
//!
//! Columns are as wide as their widest cell and two spaces apart; numbers stand right, names left. A cell may
//! have several lines: the other cells of its row then stand beside the last one. No trailing spaces, so that
//! output can be compared and pasted.

/// Where the text of a column stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// Names.
    Left,
    /// Numbers.
    Right,
}

/// A table under construction.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

const GAP: &str = "  ";

impl Table {
    /// A table with these headings.
    pub(crate) fn new(columns: &[(&'static str, Align)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; missing cells are empty.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Columns of the terminal that the table needs.
    pub(crate) fn width(&self) -> usize {
        self.widths().iter().sum::<usize>() + GAP.len() * self.columns.len().saturating_sub(1)
    }

    /// The table as text, one line per row and one for the headings, each ended by a newline.
    pub(crate) fn render(&self) -> String {
        let widths = self.widths();
        let mut out = String::new();
        let headings: Vec<String> = self.columns.iter().map(|(name, _)| (*name).to_owned()).collect();
        for row in std::iter::once(&headings).chain(&self.rows) {
            self.render_row(row, &widths, &mut out);
        }
        out
    }

    fn render_row(&self, row: &[String], widths: &[usize], out: &mut String) {
        let height = row.iter().map(|cell| cell.lines().count()).max().unwrap_or(1).max(1);
        for line in 0..height {
            let mut text = String::new();
            for (column, ((_, align), width)) in self.columns.iter().zip(widths).enumerate() {
                if column > 0 {
                    text.push_str(GAP);
                }
                pad(cell_line(row.get(column), line, height), *width, *align, &mut text);
            }
            out.push_str(text.trim_end());
            out.push('\n');
        }
    }

    fn widths(&self) -> Vec<usize> {
        let of_column = |column: usize, name: &str| {
            let cells = self.rows.iter().filter_map(|row| row.get(column)).flat_map(|cell| cell.lines());
            cells.map(display_width).max().unwrap_or(0).max(display_width(name))
        };
        self.columns.iter().enumerate().map(|(column, (name, _))| of_column(column, name)).collect()
    }
}

/// The part of a cell that stands on `line` of a row of `height` lines; cells are aligned to the bottom.
fn cell_line(cell: Option<&String>, line: usize, height: usize) -> &str {
    let Some(cell) = cell else { return "" };
    let lines = cell.lines().count();
    let skipped = height - lines;
    if line < skipped { "" } else { cell.lines().nth(line - skipped).unwrap_or("") }
}

fn pad(text: &str, width: usize, align: Align, out: &mut String) {
    let fill = width.saturating_sub(display_width(text));
    if align == Align::Right {
        out.extend(std::iter::repeat_n(' ', fill));
    }
    out.push_str(text);
    if align == Align::Left {
        out.extend(std::iter::repeat_n(' ', fill));
    }
}

/// Columns that `text` takes. Ids are ASCII and the few other characters we print are one column wide.
fn display_width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&[("name", Align::Left), ("sent", Align::Right), ("why", Align::Left)]);
        table.row(vec!["a".into(), "7".into(), "µ".into()]);
        table.row(vec!["longer".into(), "12345".into()]);
        table
    }

    #[test]
    fn names_stand_left_and_numbers_right_without_trailing_spaces() {
        assert_eq!(
            table().render(),
            "name     sent  why\n\
             a           7  µ\n\
             longer  12345\n"
        );
    }

    #[test]
    fn width_is_that_of_the_longest_line() {
        assert_eq!(table().width(), "name     sent  why".len());
    }

    #[test]
    fn other_cells_stand_beside_the_last_line_of_a_tall_one() {
        let mut table = Table::new(&[("edge", Align::Left), ("sent", Align::Right)]);
        table.row(vec!["a/b →\n  c/d".into(), "3".into()]);
        assert_eq!(table.render(), "edge   sent\na/b →\n  c/d     3\n");
    }
}
