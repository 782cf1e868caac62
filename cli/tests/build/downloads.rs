//! Nodes whose program is behind a URL.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use crate::{
    eventually,
    support::{Ended, Project},
};

const TOOL: &str = "#!/bin/sh\necho tool of $PWD\n";
/// Of [`TOOL`], from `sha256sum`.
const TOOL_SHA256: &str = "63449151370d42e1ae73906692bc21363e1e5e4bee912f4c1b35fe5e19bbd4d3";

/// Answers every request to a path with what was put there; the thread ends with the test process.
struct Server {
    port: u16,
    asked: Arc<AtomicUsize>,
}

impl Server {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                // A client that went away is the client's affair.
                drop(answer(stream));
            }
        });
        Self { port, asked }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 || header == "\r\n" {
            break;
        }
    }
    let length = TOOL.len();
    let (status, headers, body) = match request.split_whitespace().nth(1).unwrap_or_default() {
        "/tool" | "/tool?v=2" => ("200 OK", format!("Content-Length: {length}"), TOOL),
        "/moved" => ("302 Found", "Location: /tool\r\nContent-Length: 0".to_owned(), ""),
        "/stalled" => {
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfew")?;
            // Until the client goes.
            reader.read_line(&mut request)?;
            return Ok(());
        }
        "/torn" => ("200 OK", format!("Content-Length: {}", length + 1000), TOOL),
        _ => ("404 Not Found", "Content-Length: 0".to_owned(), ""),
    };
    write!(stream, "HTTP/1.1 {status}\r\n{headers}\r\nConnection: close\r\n\r\n{body}")
}

fn flow(url: &str, sha256: Option<&str>) -> Project {
    let sha256 = sha256.map(|digest| format!("    path_sha256: {digest}\n")).unwrap_or_default();
    Project::new(&format!("nodes:\n  - id: net\n    path: {url}\n{sha256}    build: touch built\n"))
}

const PROXIES: [&str; 6] =
    ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];

/// `dora <args>` without the proxies of whoever runs the tests.
fn dora(project: &Project, args: &[&str]) -> Ended {
    let mut command = project.command(args);
    for name in PROXIES {
        command.env_remove(name);
    }
    Ended::from(command.output().expect("dora starts"))
}

/// Everything below `build/`.
fn downloaded(project: &Project) -> Vec<PathBuf> {
    let folders =
        fs::read_dir(project.path("build")).into_iter().flatten().map(|entry| entry.unwrap().path());
    folders.flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path())).collect()
}

#[test]
fn program_is_downloaded_checked_made_executable_and_run() {
    let server = Server::new();
    let project = flow(&server.url("tool"), Some(&TOOL_SHA256.to_uppercase()));
    let built = dora(&project, &["build", "flow.yml"]);
    assert_eq!((built.code, built.out.as_str()), (Some(0), "built flow: 1 source, 1 command\n"), "{built:?}");
    let run = dora(&project, &["run", "flow.yml"]);
    let folder = fs::canonicalize(project.path(".")).unwrap();
    assert!(
        run.out.contains(&format!("tool of {}", folder.display())),
        "it runs beside the descriptor: {run:?}"
    );
    let before = server.asked.load(Ordering::SeqCst);
    assert_eq!(dora(&project, &["build", "flow.yml"]).code, Some(0));
    assert_eq!(
        server.asked.load(Ordering::SeqCst),
        before,
        "a file with the right digest is not downloaded again"
    );
}

#[test]
fn program_with_another_digest_is_not_kept_and_nothing_is_run() {
    let server = Server::new();
    let wrong = "0".repeat(64);
    let project = flow(&server.url("tool"), Some(&wrong));
    for args in [&["build", "flow.yml"][..], &["run", "--build", "flow.yml"]] {
        let ended = dora(&project, args);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        for word in ["flow.yml:2:", "node `net`", "path_sha256", TOOL_SHA256, &wrong] {
            assert!(ended.err.contains(word), "no `{word}` in: {}", ended.err);
        }
        assert_eq!(downloaded(&project), Vec::<PathBuf>::new());
        assert!(!project.path("built").exists() && !ended.out.contains("tool of"), "{ended:?}");
    }
}

#[test]
fn program_that_was_changed_after_its_download_is_not_run() {
    let server = Server::new();
    let project = flow(&server.url("tool"), Some(TOOL_SHA256));
    assert_eq!(dora(&project, &["build", "flow.yml"]).code, Some(0));
    let [file] = downloaded(&project).try_into().expect("one file");
    fs::write(&file, "#!/bin/sh\necho evil\n").unwrap();
    let run = dora(&project, &["run", "flow.yml"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(
        !run.out.contains("evil") && run.err.contains("SHA-256") && run.err.contains("node `net`"),
        "{run:?}"
    );
    assert_eq!(dora(&project, &["run", "--build", "flow.yml"]).code, Some(0), "a build makes it right again");
}

#[test]
fn url_that_cannot_be_had_is_named_with_the_reason() {
    let server = Server::new();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (url, word) in [
        (server.url("nothing"), "404"),
        (format!("http://{nobody}/x"), "onnection refused"),
        (server.url("torn"), "cannot be downloaded"),
    ] {
        let project = flow(&url, None);
        let ended = dora(&project, &["build", "flow.yml"]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        for word in ["flow.yml:2:", "node `net`", &url, word] {
            assert!(ended.err.contains(word), "no `{word}` in: {}", ended.err);
        }
        assert!(downloaded(&project).is_empty() && !project.path("built").exists(), "{url}");
    }
}

#[test]
fn interrupt_ends_a_download_that_stalls_and_leaves_nothing_of_it() {
    let server = Server::new();
    let project = flow(&server.url("stalled"), None);
    let mut command = project.command(&["build", "flow.yml"]);
    for name in PROXIES {
        command.env_remove(name);
    }
    let dora = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("dora starts");
    eventually("the download never began", || !downloaded(&project).is_empty());
    assert!(Command::new("kill").args(["-INT", &dora.id().to_string()]).status().expect("kill").success());
    let ended = Ended::from(dora.wait_with_output().expect("dora ends"));
    assert!(ended.code == Some(1) && ended.err.contains("interrupted"), "{ended:?}");
    assert!(downloaded(&project).is_empty() && !project.path("built").exists());
}

#[test]
fn redirect_is_followed_and_queries_do_not_confuse_the_name() {
    let server = Server::new();
    for path in ["moved", "tool?v=2"] {
        let project = flow(&server.url(path), Some(TOOL_SHA256));
        assert_eq!(dora(&project, &["build", "flow.yml"]).code, Some(0), "{path}");
        let [file] = downloaded(&project).try_into().expect("one file");
        assert_eq!(file.file_name().unwrap().to_str(), path.split('?').next());
    }
}

#[test]
fn run_downloads_a_program_that_needs_no_build() {
    let server = Server::new();
    let project = Project::new(&format!("nodes:\n  - id: net\n    path: {}\n", server.url("tool")));
    let run = dora(&project, &["run", "flow.yml"]);
    assert!(run.code == Some(0) && run.out.contains("tool of"), "{run:?}");
    let again = dora(&project, &["run", "flow.yml"]);
    assert!(again.code == Some(0) && server.asked.load(Ordering::SeqCst) == 1, "{again:?}");
}

#[test]
fn two_digests_for_one_url_are_refused_before_it_is_asked_for() {
    let server = Server::new();
    let url = server.url("tool");
    let project = Project::new(&format!(
        "nodes:
  - {{ id: a, path: '{url}', path_sha256: {TOOL_SHA256} }}
  - {{ id: b, path: '{url}', path_sha256: {} }}
",
        "1".repeat(64)
    ));
    let ended = dora(&project, &["build", "flow.yml"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("flow.yml:3:") && ended.err.contains("node `a`"), "{}", ended.err);
    assert_eq!(server.asked.load(Ordering::SeqCst), 0);
}

/// A Python operator behind `url`, and beside it an interpreter that shows what it is to run.
fn operator(url: &str, sha256: &str) -> Project {
    let project = Project::new("");
    let bin = project.path("bin");
    let flow = format!(
        "nodes:
  - id: rt
    env: {{ PATH: {}, VIRTUAL_ENV: '' }}
    operators:
      - {{ id: near, python: near.py }}
      - {{ id: net, python: '{url}', path_sha256: {sha256} }}
",
        bin.display()
    );
    fs::create_dir(&bin).unwrap();
    fs::write(project.path("flow.yml"), flow).unwrap();
    fs::write(project.path("near.py"), "").unwrap();
    fs::write(bin.join("python3"), "#!/bin/sh\necho \"$DORA_RUNTIME_CONFIG\"\n").unwrap();
    fs::set_permissions(bin.join("python3"), fs::Permissions::from_mode(0o755)).unwrap();
    project
}

#[test]
fn operator_is_downloaded_like_a_program_and_its_runtime_is_told_where_it_lies() {
    let server = Server::new();
    let project = operator(&server.url("tool"), TOOL_SHA256);
    let run = dora(&project, &["run", "flow.yml"]);
    let [file] = downloaded(&project).try_into().expect("one file");
    assert_eq!(fs::read_to_string(&file).unwrap(), TOOL);
    let file = fs::canonicalize(file).unwrap();
    assert!(
        run.code == Some(0) && run.out.contains(&format!("\"source\":\"{}\"", file.display())),
        "{run:?}"
    );
    let built = dora(&project, &["build", "flow.yml"]);
    assert_eq!(
        (built.code, built.out.as_str()),
        (Some(0), "built flow: 1 source, 0 commands\n"),
        "{built:?}"
    );
    assert_eq!(
        server.asked.load(Ordering::SeqCst),
        1,
        "a file with the right digest is not downloaded again"
    );
    fs::write(&file, "something else").unwrap();
    let changed = dora(&project, &["run", "flow.yml"]);
    assert!(changed.code == Some(1) && changed.err.contains("SHA-256"), "{changed:?}");
}

#[test]
fn operator_with_another_digest_or_that_cannot_be_had_is_named_by_its_place() {
    let server = Server::new();
    for (path, digest, word) in
        [("tool", "0".repeat(64), "path_sha256"), ("nothing", TOOL_SHA256.to_owned(), "404")]
    {
        let project = operator(&server.url(path), &digest);
        let ended = dora(&project, &["build", "flow.yml"]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        for word in ["flow.yml:6:", "node `rt`", word] {
            assert!(ended.err.contains(word), "no `{word}` in: {}", ended.err);
        }
        assert_eq!(downloaded(&project), Vec::<PathBuf>::new());
    }
}
