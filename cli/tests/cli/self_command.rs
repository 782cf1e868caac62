//! `dora self` and `dora completion`, on a copy of the program.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use sha2::{Digest, Sha256};

use crate::support::{Ended, Project};

/// A copy of `dora` that may be replaced or removed.
fn copy(project: &Project) -> PathBuf {
    let copy = project.path("bin/dora");
    fs::create_dir_all(project.path("bin")).expect("a folder");
    fs::copy(env!("CARGO_BIN_EXE_dora"), &copy).expect("a copy");
    copy
}

fn run(program: &Path, args: &[&str], releases: &str) -> Ended {
    let mut command = Command::new(program);
    command.args(args).env("DORA_RELEASES_URL", releases);
    loop {
        match command.output() {
            // Another test's process, forked while we copied, has the copy open for writing until it is itself.
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => thread::yield_now(),
            output => return Ended::from(output.expect("dora starts")),
        }
    }
}

/// Answers each request with what is at its path, until the test ends.
fn serve(files: Vec<(String, Vec<u8>)>, listener: TcpListener) {
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 4096];
            let count = stream.read(&mut request).unwrap_or(0);
            let text = String::from_utf8_lossy(&request[..count]).into_owned();
            let path = text.split_whitespace().nth(1).unwrap_or("/");
            let (status, body) = match files.iter().find(|(name, _)| name == path) {
                Some((_, body)) => ("200 OK", body.as_slice()),
                None => ("404 Not Found", &b""[..]),
            };
            let head =
                format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            // Who asked may have gone; the next one is answered all the same.
            stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).unwrap_or_default();
        }
    });
}

/// A release `version` whose program prints `says`; returns where it is announced. `digest` is the one announced, or the right one.
fn release(version: &str, says: &str, digest: Option<&str>) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let name = format!("dora-cli-{}", target());
    fs::create_dir(folder.path().join(&name)).expect("a folder");
    let program = folder.path().join(&name).join("dora");
    fs::write(&program, format!("#!/bin/sh\necho '{says}'\n")).expect("a program");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("executable");
    let archive = folder.path().join("a.tar.gz");
    let tar = Command::new("tar").arg("-czf").arg(&archive).arg("-C").arg(folder.path()).arg(&name).status();
    assert!(tar.expect("tar starts").success());
    let bytes = fs::read(&archive).expect("the archive");
    let right: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    let announced = serde_json::json!({
        "tag_name": version,
        "assets": [{
            "name": format!("{name}.tar.gz"),
            "browser_download_url": format!("{base}/a"),
            "digest": format!("sha256:{}", digest.unwrap_or(&right)),
        }],
    });
    serve(vec![("/latest".into(), announced.to_string().into_bytes()), ("/a".into(), bytes)], listener);
    format!("{base}/latest")
}

/// As the program knows it.
fn target() -> &'static str {
    env!("DORA_TARGET")
}

#[test]
fn newer_release_takes_the_place_of_the_program() {
    let project = Project::new("");
    let program = copy(&project);
    let releases = release("v99.0.0", "dora 99.0.0", None);
    let checked = run(&program, &["self", "update", "--check-only"], &releases);
    assert!(checked.code == Some(0) && checked.out.contains("99.0.0 is there"), "{checked:?}");
    assert!(run(&program, &["--version"], "").out.starts_with("dora 0."), "--check-only changes nothing");
    let updated = run(&program, &["self", "update"], &releases);
    assert_eq!(updated.code, Some(0), "{updated:?}");
    assert_eq!(run(&program, &["--version"], "").out, "dora 99.0.0\n");
}

#[test]
fn release_that_is_damaged_or_does_not_run_here_changes_nothing() {
    let project = Project::new("");
    let program = copy(&project);
    let before = fs::read(&program).expect("the program");
    for (releases, why) in [
        (release("99.0.0", "dora 99.0.0", Some(&"0".repeat(64))), "damaged"),
        (release("99.0.0", "something else", None), "does not work here"),
        (release("ninety", "dora", None), "no version"),
        ("http://127.0.0.1:9/latest".to_owned(), "failed to download"),
    ] {
        let ended = run(&program, &["self", "update"], &releases);
        assert!(
            ended.code == Some(1) && ended.err.contains(why) && ended.err.contains("hint:"),
            "{why}: {ended:?}"
        );
        assert!(fs::read(&program).expect("the program") == before, "{why}: the program has changed");
    }
}

#[test]
fn release_that_is_not_newer_is_left_alone() {
    let project = Project::new("");
    let program = copy(&project);
    let ended = run(&program, &["self", "update"], &release("v0.0.1", "dora 0.0.1", None));
    assert!(ended.code == Some(0) && ended.out.contains("up to date"), "{ended:?}");
    assert!(run(&program, &["--version"], "").out.starts_with("dora 0."));
}

#[test]
fn program_of_a_python_environment_is_not_replaced_behind_its_back() {
    let project = Project::new("");
    let program = copy(&project);
    fs::write(project.path("pyvenv.cfg"), "").expect("a file");
    let ended = run(&program, &["self", "update"], &release("99.0.0", "dora 99.0.0", None));
    assert!(ended.code == Some(1) && ended.err.contains("pip install --upgrade"), "{ended:?}");
}

#[test]
fn uninstalling_asks_unless_it_is_forced_and_then_the_file_is_gone() {
    let project = Project::new("");
    let program = copy(&project);
    let ended = run(&program, &["self", "uninstall"], "");
    assert!(ended.code == Some(1) && ended.err.contains("requires an interactive terminal"), "{ended:?}");
    assert!(program.exists());
    let ended = run(&program, &["self", "uninstall", "--force"], "");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!program.exists());
}

#[test]
fn completion_takes_the_shell_from_its_argument_or_from_the_environment() {
    let project = Project::new("");
    let given = project.dora(&["completion", "bash"]);
    assert!(given.code == Some(0) && given.out.contains("complete -F"), "{given:?}");
    let detected =
        project.command(&["completion"]).env("SHELL", "/usr/bin/fish").output().expect("dora starts");
    assert!(String::from_utf8_lossy(&detected.stdout).contains("complete -c dora"));
    let unknown =
        Ended::from(project.command(&["completion"]).env_remove("SHELL").output().expect("dora starts"));
    assert!(unknown.code == Some(1) && unknown.err.contains("dora completion bash"), "{unknown:?}");
    let wrong = project.dora(&["completion", "tcsh"]);
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
}
