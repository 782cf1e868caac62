//! The picture of `dora top`.

use dora_protocol::control::{NodeInfo, NodeStatus};
use ratatui::{
    Frame,
    layout::{Constraint, Layout},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Cell, Row, Table, TableState},
};

use super::{
    super::node::{dataflow_name, status_word},
    app::{App, SortKey},
};
use crate::display::numbers::{UNKNOWN, bytes, mega};

/// Heading and least width of each column; names take what is left.
const COLUMNS: [(&str, Constraint); 12] = [
    ("NODE", Constraint::Fill(3)),
    ("STATUS", Constraint::Length(10)),
    ("DATAFLOW", Constraint::Fill(2)),
    ("PID", Constraint::Length(8)),
    ("CPU%", Constraint::Length(7)),
    ("MEMORY (MB)", Constraint::Length(11)),
    ("RESTARTS", Constraint::Length(8)),
    ("QUEUE", Constraint::Length(6)),
    ("NET TX", Constraint::Length(9)),
    ("NET RX", Constraint::Length(9)),
    ("I/O READ (MB/s)", Constraint::Length(15)),
    ("I/O WRITE (MB/s)", Constraint::Length(16)),
];

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, app: &mut App) {
    let [title, table, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Fill(1), Constraint::Length(1)])
            .areas(frame.area());
    frame.render_widget(headline(app), title);
    let rows: Vec<Row<'_>> = app.nodes().iter().map(row).collect();
    let heading = COLUMNS.iter().map(|(name, _)| Cell::from(marked(name, app.sort())));
    let widget = Table::new(rows, COLUMNS.map(|(_, width)| width))
        .header(Row::new(heading).style(Style::new().add_modifier(Modifier::BOLD)))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::default().with_selected(app.selected());
    frame.render_stateful_widget(widget, table, &mut state);
    frame.render_widget(footer(app), foot);
}

fn headline(app: &App) -> Line<'static> {
    let total: f64 =
        app.nodes().iter().filter_map(|node| node.state.metrics).map(|metrics| metrics.cpu_usage).sum();
    let memory: u64 =
        app.nodes().iter().filter_map(|node| node.state.metrics).map(|metrics| metrics.memory_bytes).sum();
    let nodes = app.nodes().len();
    Line::from(format!("dora top: {nodes} nodes, {total:.1} % of one core, {:.0} MB", mega(memory)))
}

fn footer(app: &App) -> Line<'static> {
    if let Some(problem) = app.problem() {
        return Line::from(Span::styled(format!("{problem}; trying again"), Style::new().fg(Color::Red)));
    }
    if app.is_known_empty() {
        return Line::from("no dataflow is running; q quits");
    }
    let selected = app.selected().and_then(|index| app.nodes().get(index));
    let said = selected.and_then(|node| match &node.state {
        state if state.error.is_some() => state.error.clone(),
        state if !state.broken_inputs.is_empty() => {
            Some(format!("timed out: {}", state.broken_inputs.join(", ")))
        }
        _ => None,
    });
    let said = said.map(|said| {
        format!("{}: {}  ", selected.map_or("", |node| node.state.node_id.as_str()), one_line(&said))
    });
    Line::from(format!("{}↑↓ select  n name  c CPU  m memory  r refresh  q quit", said.unwrap_or_default()))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The column that rows are sorted by has an arrow.
fn marked(name: &str, sort: SortKey) -> String {
    let sorted = match sort {
        SortKey::Name => "NODE",
        SortKey::Cpu => "CPU%",
        SortKey::Memory => "MEMORY (MB)",
    };
    if name != sorted {
        return name.to_owned();
    }
    // The heading of the memory column has no room left.
    if name.len() > 10 { name.replace(" (MB)", " MB ▼") } else { format!("{name} ▼") }
}

fn row(node: &NodeInfo) -> Row<'static> {
    let state = &node.state;
    let known = |value: Option<String>| value.unwrap_or_else(|| UNKNOWN.to_owned());
    let rate = |value: Option<f64>| known(value.map(|value| format!("{value:.2}")));
    let cells = [
        state.node_id.to_string(),
        status_word(state.status),
        dataflow_name(node),
        known(state.pid.map(|pid| pid.to_string())),
        known(state.metrics.map(|metrics| format!("{:.1}", metrics.cpu_usage))),
        known(state.metrics.map(|metrics| format!("{:.1}", mega(metrics.memory_bytes)))),
        state.restart_count.to_string(),
        state.pending_messages.to_string(),
        known(state.network.map(|network| bytes(network.bytes_sent))),
        known(state.network.map(|network| bytes(network.bytes_received))),
        rate(state.metrics.and_then(|metrics| metrics.disk_read_mb_s)),
        rate(state.metrics.and_then(|metrics| metrics.disk_write_mb_s)),
    ];
    Row::new(cells).style(Style::new().fg(color(state.status)))
}

fn color(status: NodeStatus) -> Color {
    match status {
        NodeStatus::Failed => Color::Red,
        NodeStatus::Degraded | NodeStatus::Restarting => Color::Yellow,
        NodeStatus::Stopped | NodeStatus::Detached => Color::DarkGray,
        NodeStatus::Starting | NodeStatus::Running => Color::Reset,
    }
}

#[cfg(test)]
mod tests {
    use ratatui::{Terminal, backend::TestBackend};

    use super::*;
    use crate::commands::node::list_tests::node;

    fn picture(app: &mut App, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, app)).unwrap();
        let buffer = terminal.backend().buffer();
        let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
        (0..height).map(line).collect()
    }

    #[test]
    fn all_documented_columns_are_there_and_what_is_unknown_is_said_to_be() {
        let mut app = App::default();
        app.update(Ok(vec![
            node("camera", NodeStatus::Degraded, Some((101.5, 78_500_000))),
            node("planner", NodeStatus::Stopped, None),
        ]));
        let lines = picture(&mut app, 160, 6);
        assert!(
            lines[0].contains("2 nodes") && lines[0].contains("101.5 %") && lines[0].contains("78 MB"),
            "{}",
            lines[0]
        );
        for (name, _) in COLUMNS {
            assert!(lines[1].contains(name), "{name}: {}", lines[1]);
        }
        let cells: Vec<&str> = lines[2].split_whitespace().collect();
        assert_eq!(
            cells,
            ["camera", "Degraded", "arm", "4711", "101.5", "78.5", "2", "5", "N/A", "N/A", "0.25", "N/A"]
        );
        let cells: Vec<&str> = lines[3].split_whitespace().collect();
        assert_eq!(cells[..6], ["planner", "Stopped", "arm", "N/A", "N/A", "N/A"]);
        assert!(lines[5].starts_with("camera: timed out: image"), "{}", lines[5]);
    }

    #[test]
    fn the_sorted_column_is_marked_and_no_heading_is_cut() {
        for (key, heading) in [('n', "NODE ▼"), ('c', "CPU% ▼"), ('m', "MEMORY MB ▼")] {
            let mut app = App::default();
            app.update(Ok(vec![node("camera", NodeStatus::Running, None)]));
            app.key(ratatui::crossterm::event::KeyCode::Char(key).into());
            let lines = picture(&mut app, 160, 4);
            assert!(lines[1].contains(heading), "{}", lines[1]);
        }
    }

    #[test]
    fn a_lost_coordinator_and_no_dataflow_are_told_at_the_foot() {
        let mut app = App::default();
        app.update(Ok(vec![]));
        assert!(picture(&mut app, 80, 4)[3].contains("no dataflow is running"));
        app.update(Err("lost the connection".into()));
        assert!(picture(&mut app, 80, 4)[3].contains("lost the connection; trying again"));
    }

    #[test]
    fn a_terminal_of_any_size_is_drawn_on() {
        let mut app = App::default();
        app.update(Ok((0..50)
            .map(|n| node(&format!("n{n}"), NodeStatus::Running, Some((1.0, 1))))
            .collect()));
        for (width, height) in [(1, 1), (10, 2), (80, 24), (300, 3)] {
            picture(&mut app, width, height);
        }
    }
}
