//! `dora top`: what every node of every dataflow uses, live or as one JSON snapshot.
//!
//! ```text
//!   coordinator ── every refresh ──► App (rows, order, selection) ──► draw
//!   keyboard ─────────────────────────┘
//! ```
//!
//! The terminal is put back on every way out: key, signal, error and panic.

mod app;
mod draw;
mod snapshot;

use std::{
    io::{self, IsTerminal},
    net::SocketAddr,
    time::Duration,
};

use dora_protocol::control::NodeInfo;
use ratatui::crossterm::event::{self, Event, KeyEvent, KeyEventKind};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};

use self::app::{App, Wish};
use super::node::all_nodes;
use crate::{
    args::TopArgs,
    client::{Client, block_on, with_coordinator},
    display::out::json_document,
    error::{CliError, CliResult},
    interrupts::Interrupts,
};

/// `dora top`
pub(crate) fn run(args: &TopArgs) -> CliResult {
    if args.once {
        let nodes = with_coordinator(&args.coord, async |mut client| all_nodes(&mut client).await)?;
        return json_document(&nodes.iter().map(snapshot::of).collect::<Vec<_>>());
    }
    if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
        return Err(CliError::new("`dora top` requires an interactive terminal")
            .hint("`dora top --once` prints one snapshot as JSON"));
    }
    block_on(async {
        // Before the terminal changes: whoever has no coordinator shall read so.
        let client = Client::connect(args.coord.address()).await?;
        let interrupts = Interrupts::new()
            .map_err(|error| CliError::new("failed to listen for signals").caused_by(&error))?;
        let terminal = ratatui::try_init()
            .map_err(|error| CliError::new("cannot draw on this terminal").caused_by(&error))?;
        let _restore = Restore;
        watch(terminal, Source { address: args.coord.address(), client: Some(client) }, interrupts, args)
            .await
    })
}

/// Puts the terminal back when it goes out of scope. A panic does so on its own: `try_init` sees to it.
struct Restore;

impl Drop for Restore {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

async fn watch(
    mut terminal: ratatui::DefaultTerminal,
    mut source: Source,
    mut interrupts: Interrupts,
    args: &TopArgs,
) -> CliResult {
    let failed = |error: io::Error| CliError::new("failed to draw on the terminal").caused_by(&error);
    let mut keys = keyboard();
    let mut refresh = interval(Duration::from_secs(args.refresh_interval));
    refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut app = App::default();
    loop {
        tokio::select! {
            _ = refresh.tick() => app.update(source.look().await),
            () = interrupts.next() => return Ok(()),
            key = keys.recv() => match key {
                Some(Input::Key(key)) => match app.key(key) {
                    Wish::Quit => return Ok(()),
                    Wish::Refresh => refresh.reset_immediately(),
                    Wish::Nothing => {}
                },
                Some(Input::Redraw) => {}
                // The terminal is gone.
                None => return Ok(()),
            },
        }
        terminal.draw(|frame| draw::draw(frame, &mut app)).map_err(failed)?;
    }
}

/// What comes from the terminal.
enum Input {
    Key(KeyEvent),
    /// It has another size.
    Redraw,
}

/// A thread that waits for keys; it ends with the process, or when the terminal is gone.
fn keyboard() -> mpsc::Receiver<Input> {
    let (sender, keys) = mpsc::channel(32);
    std::thread::spawn(move || {
        loop {
            let input = match event::read() {
                Ok(Event::Key(key)) if key.kind != KeyEventKind::Release => Input::Key(key),
                Ok(Event::Resize(..)) => Input::Redraw,
                Ok(_) => continue,
                Err(_) => return,
            };
            if sender.blocking_send(input).is_err() {
                return;
            }
        }
    });
    keys
}

/// Asks the coordinator, and finds it again when it was away.
struct Source {
    address: SocketAddr,
    client: Option<Client>,
}

impl Source {
    async fn look(&mut self) -> Result<Vec<NodeInfo>, String> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => Client::connect(self.address).await.map_err(|error| error.message().to_owned())?,
        };
        let nodes = all_nodes(&mut client).await.map_err(|error| error.message().to_owned())?;
        self.client = Some(client);
        Ok(nodes)
    }
}
