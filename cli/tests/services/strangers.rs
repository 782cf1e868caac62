//! Who else may knock: programs that speak something else, and users without rights.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    os::unix::{fs::chown, process::CommandExt},
    time::Duration,
};

use crate::{
    counting,
    pair::{PATIENCE, Pair, kill, lives, wait},
    visit,
};

/// `nobody`
const USER: u32 = 65534;

fn upgrade(route: &str) -> Vec<u8> {
    format!(
        "GET {route} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .into_bytes()
}

/// A text frame of a client, masked with zeros.
fn text(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81, 0x80 | 126];
    frame.extend((text.len() as u16).to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(text.as_bytes());
    frame
}

#[test]
fn garbage_on_the_port_disturbs_neither_the_list_nor_a_dataflow() {
    let pair = Pair::up(&counting());
    pair.start("it");
    let before = pair.list();
    let openings =
        [Vec::new(), upgrade("/api/control"), upgrade("/api/daemon"), upgrade("/nowhere"), b"GET".to_vec()];
    let rests = [
        Vec::new(),
        vec![0xff; 70_000],
        vec![0; 70_000],
        text("nonsense"),
        text(r#"{"id":"00000000-0000-0000-0000-000000000000","method":"control","params":"List"}"#),
        // A length of 2^63.
        vec![0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4],
        // The beginning of a frame that never goes on.
        vec![0x81],
    ];
    let mut open = Vec::new();
    for opening in &openings {
        for rest in &rests {
            let mut stream = TcpStream::connect(pair.address()).expect("the coordinator listens");
            stream.set_write_timeout(Some(PATIENCE)).expect("a time limit");
            // Hanging up in the middle is one of the answers.
            let written = stream.write_all(opening).and_then(|()| stream.write_all(rest));
            if written.is_ok() && rest.len() < 20 {
                open.push(stream);
            } else {
                drop(stream.shutdown(Shutdown::Write));
            }
        }
    }
    assert_eq!(pair.list(), before);
    for mut stream in open {
        stream.set_read_timeout(Some(Duration::from_millis(10))).expect("a time limit");
        drop(stream.read(&mut [0; 64]));
    }
    assert_eq!(pair.list(), before);
    pair.good(&["stop", "it"]);
}

#[test]
fn a_dynamic_node_in_a_container_joins_although_its_process_ids_mean_others_here() {
    // Its own id, in there, is that of a kernel thread out here, whose session has no leader: nothing to believe or to die of.
    let wrapper = ["unshare", "--user", "--map-root-user", "--pid", "--fork"];
    let allowed = std::process::Command::new(wrapper[0]).args(&wrapper[1..]).arg("true").output();
    if !allowed.is_ok_and(|tried| tried.status.success()) {
        return println!("skipped: needs `unshare` and user namespaces");
    }
    let late = "  - id: late\n    path: dynamic\n    inputs: { n: source/n }\n";
    let pair = Pair::up(&(counting() + late));
    pair.start("it");
    for _ in 0..2 {
        wait("a free place", || {
            let guest = visit(&pair, &wrapper);
            let said = String::from_utf8_lossy(&guest.stderr);
            assert!(guest.status.success() || said.contains("is taken"), "{said}\n{}", pair.daemon_log());
            guest.status.success()
        });
    }
    pair.good(&["stop", "it"]);
}

#[test]
fn with_auth_nobody_gets_in_without_the_token_and_its_owner_need_not_care() {
    let pair = Pair::new(&counting());
    pair.good(&["up", "--auth"]);
    pair.start("it");
    let file = pair.project.path("home/.config/dora/.dora-token");
    let token = std::fs::read_to_string(&file).expect("the token");
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&file.metadata().expect("a file")) & 0o777, 0o600);
    let elsewhere = |token: Option<&str>| {
        let mut command = pair.command(&["list"]);
        command.env("HOME", pair.project.path("run"));
        token.map(|token| command.env("DORA_AUTH_TOKEN", token));
        crate::support::Ended::from(command.output().expect("dora starts"))
    };
    for wrong in
        [None, Some("wrong"), Some("0000000000000000000000000000000000000000000000000000000000000000")]
    {
        let refused = elsewhere(wrong);
        assert!(refused.code == Some(1) && refused.err.contains("does not accept our token"), "{refused:?}");
        assert!(refused.err.contains("DORA_AUTH_TOKEN"), "{refused:?}");
    }
    assert!(elsewhere(Some(token.trim())).out.contains("it"));
    kill(pair.coordinator());
    pair.good(&["up", "--auth"]);
    wait("the dataflow", || pair.list().iter().any(|row| row.contains("Running")));
    pair.good(&["down"]);
}

/// Everything as a user who may do nothing special. Only root can become one.
#[test]
fn a_user_without_rights_has_all_but_strict_real_time() {
    if !rustix::process::geteuid().is_root() {
        // Then every other test here is this one.
        return;
    }
    let pair = Pair::new(&counting());
    let reachable =
        std::process::Command::new(env!("CARGO_BIN_EXE_dora")).arg("--version").uid(USER).output();
    if !reachable.is_ok_and(|ran| ran.status.success()) {
        println!("skipped: other users cannot run {}", env!("CARGO_BIN_EXE_dora"));
        return;
    }
    for folder in ["", "home", "run"] {
        chown(pair.project.path(folder), Some(USER), Some(USER)).expect("root may do that");
    }
    let dora = |args: &[&str]| {
        let output = pair.command(args).uid(USER).gid(USER).output().expect("dora starts");
        crate::support::Ended::from(output)
    };
    // Memory of any size may not be locked without the right to.
    let strict = dora(&["up", "--rt"]);
    if strict.code == Some(0) {
        dora(&["down"]);
    } else {
        assert!(strict.err.contains("real-time") && strict.err.contains("best-effort"), "{strict:?}");
        assert!(strict.err.contains("fix"), "{strict:?}");
    }
    let up = dora(&["up", "--rt=best-effort"]);
    assert_eq!(up.code, Some(0), "{up:?}");
    let start = dora(&["start", "flow.yml", "--detach", "--name", "it"]);
    assert_eq!(start.code, Some(0), "{start:?}");
    wait("the nodes' ids", || pair.pids("it").len() == 2);
    let nodes = pair.pids("it");
    let down = dora(&["down"]);
    assert_eq!(down.code, Some(0), "{down:?}");
    assert!(nodes.iter().all(|pid| !lives(*pid)));
}
