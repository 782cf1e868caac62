//! What `dora top` shows and how keys change it. Knows neither terminal nor coordinator.

use std::cmp::Ordering;

use dora_protocol::{DataflowId, NodeId, control::NodeInfo};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Order of the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum SortKey {
    /// By node, then by dataflow.
    Name,
    /// Most processor time first.
    #[default]
    Cpu,
    /// Most memory first.
    Memory,
}

/// What a key asks for that is not done here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Nothing,
    Quit,
    Refresh,
}

/// The table and what is chosen in it.
#[derive(Debug, Default)]
pub(super) struct App {
    nodes: Vec<NodeInfo>,
    sort: SortKey,
    /// Which node is chosen: it stays so when rows move.
    chosen: Option<(DataflowId, NodeId)>,
    /// Why the rows are old.
    problem: Option<String>,
    /// Something was received.
    asked: bool,
}

impl App {
    /// Takes what the coordinator said. When it said nothing the old rows stay.
    pub(super) fn update(&mut self, answer: Result<Vec<NodeInfo>, String>) {
        self.asked = true;
        match answer {
            Ok(nodes) => {
                let index = self.selected();
                (self.nodes, self.problem) = (nodes, None);
                self.order();
                // Who was chosen may be gone: then whoever stands there now.
                if self.selected().is_none() {
                    self.choose(index.unwrap_or(0));
                }
            }
            Err(problem) => self.problem = Some(problem),
        }
    }

    /// Does what a key means.
    pub(super) fn key(&mut self, key: KeyEvent) -> Wish {
        match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return Wish::Quit,
            KeyCode::Char('q') | KeyCode::Esc => return Wish::Quit,
            KeyCode::Char('r') => return Wish::Refresh,
            KeyCode::Up | KeyCode::Char('k') => self.choose(self.selected().unwrap_or(0).saturating_sub(1)),
            KeyCode::Down | KeyCode::Char('j') => self.choose(self.selected().map_or(0, |index| index + 1)),
            KeyCode::Char('n') => self.sort_by(SortKey::Name),
            KeyCode::Char('c') => self.sort_by(SortKey::Cpu),
            KeyCode::Char('m') => self.sort_by(SortKey::Memory),
            _ => {}
        }
        Wish::Nothing
    }

    /// In the order shown.
    pub(super) fn nodes(&self) -> &[NodeInfo] {
        &self.nodes
    }

    pub(super) fn sort(&self) -> SortKey {
        self.sort
    }

    /// Row of the chosen node.
    pub(super) fn selected(&self) -> Option<usize> {
        let (dataflow, node) = self.chosen.as_ref()?;
        self.nodes.iter().position(|info| info.dataflow_id == *dataflow && info.state.node_id == *node)
    }

    pub(super) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// Is it known that there are no nodes?
    pub(super) fn is_known_empty(&self) -> bool {
        self.asked && self.problem.is_none() && self.nodes.is_empty()
    }

    fn choose(&mut self, index: usize) {
        let last = self.nodes.len().saturating_sub(1);
        self.chosen =
            self.nodes.get(index.min(last)).map(|info| (info.dataflow_id, info.state.node_id.clone()));
    }

    fn sort_by(&mut self, key: SortKey) {
        self.sort = key;
        self.order();
    }

    fn order(&mut self) {
        let by_name = |a: &NodeInfo, b: &NodeInfo| {
            (a.state.node_id.as_str(), a.dataflow_id).cmp(&(b.state.node_id.as_str(), b.dataflow_id))
        };
        // What is not known comes last.
        let cpu = |info: &NodeInfo| info.state.metrics.map_or(-1.0, |metrics| metrics.cpu_usage);
        let memory = |info: &NodeInfo| info.state.metrics.map(|metrics| metrics.memory_bytes);
        let sort = self.sort;
        self.nodes.sort_by(|a, b| {
            let first = match sort {
                SortKey::Name => Ordering::Equal,
                SortKey::Cpu => cpu(b).total_cmp(&cpu(a)),
                SortKey::Memory => memory(b).cmp(&memory(a)),
            };
            first.then_with(|| by_name(a, b))
        });
    }
}

#[cfg(test)]
mod tests {
    use dora_protocol::control::NodeStatus::{Running, Stopped};

    use super::*;
    use crate::commands::node::list_tests::node;

    fn app() -> App {
        let mut app = App::default();
        app.update(Ok(vec![
            node("b", Running, Some((5.0, 300))),
            node("a", Running, Some((1.0, 900))),
            node("d", Stopped, None),
            node("c", Running, Some((9.0, 100))),
        ]));
        app
    }

    fn press(app: &mut App, code: KeyCode) -> Wish {
        app.key(KeyEvent::new(code, KeyModifiers::NONE))
    }

    fn order(app: &App) -> String {
        app.nodes().iter().map(|info| info.state.node_id.as_str()).collect()
    }

    fn chosen(app: &App) -> &str {
        app.nodes()[app.selected().unwrap()].state.node_id.as_str()
    }

    #[test]
    fn keys_sort_and_unknown_values_come_last() {
        let mut app = app();
        assert_eq!(order(&app), "cbad");
        for (key, expected) in [('n', "abcd"), ('m', "abcd"), ('c', "cbad")] {
            assert_eq!(press(&mut app, KeyCode::Char(key)), Wish::Nothing);
            assert_eq!(order(&app), expected, "{key}");
        }
    }

    #[test]
    fn selection_moves_within_the_table_and_stays_with_its_node_when_rows_move() {
        let mut app = app();
        assert_eq!(chosen(&app), "c");
        press(&mut app, KeyCode::Up);
        assert_eq!(chosen(&app), "c");
        press(&mut app, KeyCode::Down);
        press(&mut app, KeyCode::Char('j'));
        assert_eq!(chosen(&app), "a");
        press(&mut app, KeyCode::Char('n'));
        assert_eq!((chosen(&app), app.selected()), ("a", Some(0)));
        for _ in 0..9 {
            press(&mut app, KeyCode::Down);
        }
        assert_eq!(chosen(&app), "d");
        press(&mut app, KeyCode::Char('k'));
        assert_eq!(chosen(&app), "c");
    }

    #[test]
    fn when_the_chosen_node_is_gone_its_neighbour_is_chosen() {
        let mut app = app();
        press(&mut app, KeyCode::Down);
        app.update(Ok(vec![node("c", Running, Some((9.0, 1))), node("a", Running, Some((1.0, 1)))]));
        assert_eq!(chosen(&app), "a");
        app.update(Ok(vec![]));
        assert!(app.selected().is_none() && app.is_known_empty());
        press(&mut app, KeyCode::Down);
        assert!(app.selected().is_none());
    }

    #[test]
    fn old_rows_stay_while_the_coordinator_is_away() {
        let mut app = app();
        app.update(Err("gone".into()));
        assert_eq!((app.nodes().len(), app.problem()), (4, Some("gone")));
        app.update(Ok(vec![]));
        assert_eq!(app.problem(), None);
    }

    #[test]
    fn quit_and_refresh_are_for_the_caller() {
        let mut app = app();
        let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(app.key(control_c), Wish::Quit);
        for (key, wish) in [
            (KeyCode::Char('q'), Wish::Quit),
            (KeyCode::Esc, Wish::Quit),
            (KeyCode::Char('r'), Wish::Refresh),
            (KeyCode::Char('x'), Wish::Nothing),
        ] {
            assert_eq!(press(&mut app, key), wish, "{key:?}");
        }
    }
}
