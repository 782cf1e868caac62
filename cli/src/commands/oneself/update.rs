//! `dora self update`: the newest release in the place of this program.
//!
//! ```text
//!   ask for the newest release ─► newer? ─► download ─► digest right? ─► unpack ─► does it run? ─► rename over this file
//! ```
//!
//! Up to the last step nothing has changed, and that one is a rename: there is always a whole program. Without a digest nothing
//! is installed.

use std::{
    env, fs,
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use semver::Version;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{PACKAGE, environment_python, program};
use crate::{
    args::SelfUpdateArgs,
    display::out::print,
    error::{CliError, CliResult},
    web::agent,
};

/// Where releases are announced.
const RELEASES: &str = "https://api.github.com/repos/dora-rs/dora/releases/latest";
/// Asks somewhere else: a mirror.
const ENV_RELEASES: &str = "DORA_RELEASES_URL";
/// Archives that `tar` unpacks.
const ENDINGS: [&str; 3] = [".tar.gz", ".tar.xz", ".tar.zst"];
/// No release is larger.
const LARGEST: u64 = 512 << 20;

#[derive(Debug, Deserialize)]
struct Release {
    tag_name: String,
    #[serde(default)]
    assets: Vec<Asset>,
}

#[derive(Debug, Deserialize)]
struct Asset {
    name: String,
    browser_download_url: String,
    /// `sha256:<hex>`
    #[serde(default)]
    digest: Option<String>,
}

/// `dora self update`
pub(super) fn run(args: &SelfUpdateArgs) -> CliResult {
    let url = env::var(ENV_RELEASES).unwrap_or_else(|_| RELEASES.to_owned());
    eprintln!("asking {url}");
    let release: Release = serde_json::from_slice(&get(&url, 4 << 20)?)
        .map_err(|error| CliError::new(format!("{url} does not describe a release")).caused_by(&error))?;
    let ours = version(env!("CARGO_PKG_VERSION"))?;
    let newest = version(&release.tag_name)?;
    if newest <= ours {
        return print(&format!("dora {ours} is up to date (newest release: {newest})\n"));
    }
    if args.check_only {
        return print(&format!("dora {newest} is there, this is {ours}; `dora self update` installs it\n"));
    }
    let program = program()?;
    if let Some(python) = environment_python(&program) {
        return Err(CliError::new("this program was installed as a Python package, and is updated as one")
            .hint(format!("{} -m pip install --upgrade {PACKAGE}", python.display())));
    }
    install(&release, &newest, &program)?;
    print(&format!("updated {} from {ours} to {newest}\n", program.display()))
}

fn version(text: &str) -> CliResult<Version> {
    Version::parse(text.trim_start_matches('v')).map_err(|error| {
        CliError::new(format!("`{text}` is no version"))
            .caused_by(&error)
            .hint("install by hand: https://github.com/dora-rs/dora/releases")
    })
}

fn install(release: &Release, newest: &Version, program: &Path) -> CliResult {
    let asset = pick(&release.assets, env!("DORA_TARGET"))?;
    let expected = digest(asset, &release.assets)?;
    eprintln!("downloading {}", asset.name);
    let archive = get(&asset.browser_download_url, LARGEST)?;
    let found = hex(&Sha256::digest(&archive));
    if found != expected {
        return Err(CliError::new(format!(
            "{} is damaged, nothing was changed: its SHA-256 is {found} instead of {expected}",
            asset.name
        ))
        .hint("try again; if it stays like this, report it at https://github.com/dora-rs/dora/issues"));
    }
    let failed = |what: &str, error: &dyn std::error::Error| {
        CliError::new(format!("failed to {what}: nothing was changed ({error})"))
    };
    let folder = tempfile::tempdir().map_err(|error| failed("make a temporary folder", &error))?;
    let file = folder.path().join(&asset.name);
    fs::write(&file, archive).map_err(|error| failed("write the archive", &error))?;
    let fresh = unpack(&file, folder.path())?;
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755))
        .map_err(|error| failed("make the new program executable", &error))?;
    check(&fresh, newest)?;
    self_replace::self_replace(&fresh).map_err(|error| {
        failed(&format!("replace {}", program.display()), &error)
            .hint("may you write to its folder? Otherwise: sudo dora self update")
    })
}

/// The archive for this kind of machine.
fn pick<'a>(assets: &'a [Asset], target: &str) -> CliResult<&'a Asset> {
    let wanted = ENDINGS.map(|ending| format!("dora-cli-{target}{ending}"));
    let found = wanted.iter().find_map(|name| assets.iter().find(|asset| asset.name == *name));
    found.ok_or_else(|| {
        CliError::new(format!("the newest release has no program for {target}"))
            .hint("build it: cargo install dora-cli --locked")
    })
}

/// What the archive has to be: told by the server, or by the file beside it.
fn digest(asset: &Asset, assets: &[Asset]) -> CliResult<String> {
    let told = asset.digest.as_deref().and_then(|digest| digest.strip_prefix("sha256:")).map(str::to_owned);
    let beside = || {
        let file = assets.iter().find(|other| other.name == format!("{}.sha256", asset.name))?;
        let text = get(&file.browser_download_url, 1 << 16).ok()?;
        String::from_utf8_lossy(&text).split_whitespace().next().map(str::to_owned)
    };
    let digest = told.or_else(beside).map(|digest| digest.to_ascii_lowercase());
    digest.filter(|digest| digest.len() == 64).ok_or_else(|| {
        CliError::new(format!("there is no SHA-256 for {}: it is not installed", asset.name))
            .hint("install by hand: https://github.com/dora-rs/dora/releases")
    })
}

/// Unpacks the archive into `folder`; returns the program in it.
fn unpack(archive: &Path, folder: &Path) -> CliResult<PathBuf> {
    let into = folder.join("unpacked");
    let failed = |why: String| CliError::new(format!("failed to unpack {}: {why}", archive.display()));
    fs::create_dir(&into).map_err(|error| failed(error.to_string()))?;
    let tar = Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(&into).output();
    let tar = tar.map_err(|error| failed(format!("cannot start `tar`: {error}")))?;
    if !tar.status.success() {
        return Err(failed(String::from_utf8_lossy(&tar.stderr).trim().to_owned()));
    }
    let inside = fs::read_dir(&into).map_err(|error| failed(error.to_string()))?;
    let folders = inside.flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
    std::iter::once(into.clone())
        .chain(folders)
        .map(|folder| folder.join("dora"))
        .find(|file| file.is_file())
        .ok_or_else(|| failed("there is no `dora` in it".to_owned()))
}

/// The new program has to run on this machine, and to be what it claims.
fn check(program: &Path, expected: &Version) -> CliResult {
    let failed = |why: String| {
        CliError::new(format!("the new program does not work here, nothing was changed: {why}"))
            .hint("build it for this machine: cargo install dora-cli --locked")
    };
    let output =
        Command::new(program).arg("--version").output().map_err(|error| failed(error.to_string()))?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() && said.split_whitespace().nth(1) == Some(&expected.to_string()) {
        return Ok(());
    }
    Err(failed(format!("`--version` says `{said}` ({})", output.status)))
}

fn get(url: &str, most: u64) -> CliResult<Vec<u8>> {
    let failed = |error: &dyn std::error::Error| {
        CliError::new(format!("failed to download {url}: {error}")).hint("is this machine on a network?")
    };
    let response = agent().get(url).call().map_err(|error| failed(&error))?;
    let mut bytes = Vec::new();
    response.into_body().into_reader().take(most).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asset(name: &str) -> Asset {
        Asset {
            name: name.into(),
            browser_download_url: String::new(),
            digest: Some("sha256:".to_owned() + &"A".repeat(64)),
        }
    }

    #[test]
    fn archive_for_this_machine_is_picked_and_its_absence_is_told() {
        let assets = [
            asset("dora-cli-aarch64-x.tar.gz"),
            asset("dora-cli-x86_64-x.tar.xz.sha256"),
            asset("dora-cli-x86_64-x.tar.xz"),
        ];
        assert_eq!(pick(&assets, "x86_64-x").unwrap().name, "dora-cli-x86_64-x.tar.xz");
        assert!(pick(&assets, "riscv").unwrap_err().to_string().contains("cargo install dora-cli"));
    }

    #[test]
    fn nothing_is_installed_without_a_digest() {
        let mut one = asset("a");
        assert_eq!(digest(&one, &[]).unwrap(), "a".repeat(64));
        for bad in [None, Some("md5:00".to_owned()), Some("sha256:00".to_owned())] {
            one.digest = bad;
            assert!(digest(&one, &[]).unwrap_err().to_string().contains("not installed"));
        }
    }

    #[test]
    fn versions_are_compared_as_versions() {
        assert!(version("v0.10.0").unwrap() > version("0.9.1").unwrap());
        assert!(version("latest").unwrap_err().to_string().contains("`latest`"));
    }
}
