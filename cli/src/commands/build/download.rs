//! Programs behind a URL: downloaded beside their place, checked, made executable, and moved there when they are whole and
//! right. A file with the right digest is not downloaded again.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};
use tokio::sync::oneshot;
use ureq::http::Uri;

use super::{
    Context, Failed,
    place::{self, hex},
    sources::Fetch,
    stopped,
};
use crate::{
    error::CliError,
    web::{SILENCE, agent},
};

/// Can `url` be asked for at all?
pub(super) fn check_url(url: &str) -> Result<(), String> {
    let uri: Uri = url.parse().map_err(|error: ureq::http::uri::InvalidUri| error.to_string())?;
    let host = uri.host().unwrap_or_default();
    if host.is_empty() {
        return Err("it names no host".to_owned());
    }
    let authority = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
    // What follows the host is `:port`, and the user before it ends with an `@`.
    if !authority.ends_with(host) && uri.port_u16().is_none() {
        return Err("its port is no number from 0 to 65535".to_owned());
    }
    Ok(())
}

/// Is the file what it should be? Says what it is otherwise.
pub(super) fn check_digest(file: &Path, expected: &str) -> Result<(), String> {
    let digest =
        digest(file).map_err(|error| format!("is in {}, which cannot be read: {error}", file.display()))?;
    if digest == expected {
        return Ok(());
    }
    Err(format!("is in {}, and its SHA-256 is {digest} instead of {expected}", file.display()))
}

fn digest(file: &Path) -> io::Result<String> {
    let mut hash = Hasher { inner: io::sink(), hash: Sha256::new() };
    io::copy(&mut File::open(file)?, &mut hash)?;
    Ok(hex(&hash.hash.finalize()))
}

/// Downloads `url` to its place, unless it is there.
pub(super) async fn fetch(
    fetch: &Fetch,
    url: &str,
    sha256: Option<&str>,
    context: &mut Context,
) -> Result<(), Failed> {
    let error = |what: String| CliError::new(format!("{}: `{url}` {what}", fetch.place()));
    let there = fetch.is_there();
    match sha256 {
        Some(expected) if there && digest(&fetch.to).is_ok_and(|digest| digest == expected) => {
            context.console.line(fetch.node(), &format!("{url} is there"));
            return Ok(());
        }
        Some(expected) if context.options.offline => {
            check_digest(&fetch.to, expected).map_err(error)?;
        }
        _ if context.options.offline => return Ok(()),
        _ => {}
    }
    context.console.line(fetch.node(), &format!("downloading {url}"));
    let console = context.console.clone();
    let step = console.step(format!("{}: download {url}", fetch.node()));
    let part = place::part(&fetch.to);
    let bytes = Arc::new(Progress::default());
    let (done, mut outcome) = oneshot::channel();
    let job = Job {
        url: url.to_owned(),
        to: fetch.to.clone(),
        part: part.clone(),
        sha256: sha256.map(str::to_owned),
        bytes: bytes.clone(),
    };
    thread::Builder::new()
        .name("dora-download".to_owned())
        // Refused when nobody waits any more: the build has ended.
        .spawn(move || done.send(job.run()).unwrap_or_default())
        .map_err(|cause| error("cannot be downloaded".to_owned()).caused_by(&cause))?;
    let mut before = (0, Instant::now());
    loop {
        tokio::select! {
            outcome = &mut outcome => {
                let outcome = outcome.unwrap_or_else(|_| Err("cannot be downloaded: the download broke off".to_owned()));
                return outcome.map_err(|why| error(why).into());
            }
            () = stopped(&mut context.stop) => {
                abandon(&part);
                return Err(Failed::Stopped);
            }
            () = tokio::time::sleep(Duration::from_millis(250)) => {
                let now = bytes.received.load(Ordering::Relaxed);
                if now != before.0 {
                    before = (now, Instant::now());
                } else if before.1.elapsed() > SILENCE {
                    abandon(&part);
                    let text = format!("cannot be downloaded: the server sent nothing for {} s", SILENCE.as_secs());
                    return Err(error(text).into());
                }
                step.detail(bytes.text());
            }
        }
    }
}

/// The thread of the download may wait for ever and ends with the process; what it has written goes now.
fn abandon(part: &Path) {
    // Not there when nothing has come yet.
    fs::remove_file(part).unwrap_or_default();
}

/// How far a download is; written by its thread.
#[derive(Debug, Default)]
struct Progress {
    received: AtomicU64,
    /// 0 when the server does not say.
    all: AtomicU64,
}

impl Progress {
    fn text(&self) -> String {
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let received = megabytes(self.received.load(Ordering::Relaxed));
        match self.all.load(Ordering::Relaxed) {
            0 => format!("{received:.1} MB"),
            all => format!("{received:.1} of {:.1} MB", megabytes(all)),
        }
    }
}

/// One download, on a thread of its own, because it waits in system calls.
struct Job {
    url: String,
    to: PathBuf,
    part: PathBuf,
    sha256: Option<String>,
    bytes: Arc<Progress>,
}

impl Job {
    /// Says what went wrong, so that it reads well after the URL.
    fn run(&self) -> Result<(), String> {
        let folder = self.to.parent().unwrap_or(Path::new("."));
        let unwritable = |error: io::Error| format!("cannot be written to {}: {error}", folder.display());
        fs::create_dir_all(folder).map_err(unwritable)?;
        let outcome = self
            .receive(&self.part, &unwritable)
            .and_then(|()| fs::rename(&self.part, &self.to).map_err(unwritable));
        if outcome.is_err() {
            // The error is already on its way, and a part in a folder of ours harms nobody.
            fs::remove_file(&self.part).unwrap_or_default();
        }
        outcome
    }

    fn receive(&self, part: &Path, unwritable: &dyn Fn(io::Error) -> String) -> Result<(), String> {
        let broken = |error: &dyn std::fmt::Display| format!("cannot be downloaded: {error}");
        let response = agent().get(&self.url).call().map_err(|error| broken(&error))?;
        let body = response.into_body();
        self.bytes.all.store(body.content_length().unwrap_or(0), Ordering::Relaxed);
        let mut reader = body.into_reader();
        let mut writer = Hasher { inner: File::create(part).map_err(unwritable)?, hash: Sha256::new() };
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(broken(&error)),
            };
            writer.write_all(&buffer[..count]).map_err(unwritable)?;
            self.bytes.received.fetch_add(count as u64, Ordering::Relaxed);
        }
        writer.inner.set_permissions(fs::Permissions::from_mode(0o755)).map_err(unwritable)?;
        let digest = hex(&writer.hash.finalize());
        match &self.sha256 {
            Some(expected) if *expected != digest => Err(format!(
                "is not what `path_sha256` says: its SHA-256 is {digest} instead of {expected}; it was not kept"
            )),
            _ => Ok(()),
        }
    }
}

/// Writes, and hashes what was written.
struct Hasher<W> {
    inner: W,
    hash: Sha256,
}

impl<W: Write> Write for Hasher<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hash.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_without_a_host_is_refused_before_anything_is_asked() {
        for good in ["https://example.com/a", "http://127.0.0.1:8000/x?y", "https://[::1]/z"] {
            assert_eq!(check_url(good), Ok(()), "{good}");
        }
        for bad in ["http://", "https:///file", "http://exa mple.com/", "https://h:port/"] {
            assert!(check_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn digest_that_differs_names_both() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "abc").unwrap();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(check_digest(file.path(), abc), Ok(()));
        let why = check_digest(file.path(), &"0".repeat(64)).unwrap_err();
        assert!(why.contains(abc) && why.contains("000000"), "{why}");
    }
}
