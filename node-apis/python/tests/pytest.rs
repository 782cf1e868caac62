//! The Python side, tested by pytest on a real wheel: `cargo test` needs nothing but `python3` with its venv module.
//!
//! ```text
//! target/tmp/dora-python/
//!   venv-<hash>/   maturin, pyarrow, pytest, …; made once per interpreter and tests/requirements.txt
//!   build/         what maturin compiles; apart, because it sets variables that would rebuild pyo3 in target/ each time
//!   dist/          the wheel of this source
//!   runs/          what the tests wrote, until the next run
//! ```
//!
//! The wheel is built in the dev profile and installed on every run, and pytest goes over this folder with `DORA_BIN` set
//! to the `dora` of this build. Two runs at the same time wait for each other.
//!
//! - `DORA_PYTEST_ARGS="-k builder -x"` goes to pytest as it is;
//! - `DORA_BIN=…` tests another `dora`, `DORA_NATIVE_NODES=…` with the native nodes in that folder;
//! - `PYTHON=python3.12` takes another interpreter.

use std::{
    env,
    ffi::OsStr,
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

/// The folder of this package.
const PACKAGE: &str = env!("CARGO_MANIFEST_DIR");
const REQUIREMENTS: &str = include_str!("requirements.txt");

#[test]
fn python_tests_and_examples_pass_on_a_wheel_of_this_source() {
    let python = env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let Some(version) = version_of(&python) else {
        println!("skipped: needs {python} with venv");
        return;
    };
    let work = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dora-python");
    fs::create_dir_all(&work).expect("the target folder is writable");
    // Held to the end: another run must not exchange the wheel under this one.
    let lock = File::create(work.join("lock")).expect("the target folder is writable");
    lock.lock().expect("the file system of the target folder has file locks");

    let started = Instant::now();
    let venv = Venv::of(&work, &python, &version);
    let made = started.elapsed();
    install_wheel(&venv, &work);
    let (dora, natives) = (dora(), native_nodes());
    link(&dora, &venv.program("dora"));
    let built = started.elapsed();
    let summary = pytest(&venv, &dora, &natives, &work);
    println!(
        "environment {:.1} s, wheel {:.1} s, pytest {:.1} s: {summary}",
        made.as_secs_f64(),
        (built - made).as_secs_f64(),
        (started.elapsed() - built).as_secs_f64()
    );
}

/// The version of the interpreter and where it lies; `None` if it is not there, or cannot make environments with pip
/// in them.
fn version_of(python: &str) -> Option<String> {
    let script = "import ensurepip, sys, venv; print(sys.version, sys.executable)";
    let output = Command::new(python).args(["-c", script]).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A virtual environment with everything that the tests need.
struct Venv(PathBuf);

impl Venv {
    /// Makes it, unless there is one of the same interpreter and requirements. One that was left half-made is made
    /// again, one that is out of date goes.
    fn of(work: &Path, python: &str, version: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        (version, REQUIREMENTS).hash(&mut hasher);
        let venv = Self(work.join(format!("venv-{:016x}", hasher.finish())));
        let complete = venv.0.join("complete");
        if complete.exists() {
            return venv;
        }
        for entry in fs::read_dir(work).expect("the target folder is readable") {
            let old = entry.expect("the target folder is readable").path();
            if old.file_name().is_some_and(|name| name.to_string_lossy().starts_with("venv-")) {
                fs::remove_dir_all(&old).expect("what is left of an environment can be removed");
            }
        }
        succeed(Command::new(python).args(["-m", "venv"]).arg(&venv.0));
        let requirements = Path::new(PACKAGE).join("tests/requirements.txt");
        succeed(venv.python().args(["-m", "pip", "install", "--quiet", "-r"]).arg(requirements));
        fs::write(complete, REQUIREMENTS).expect("the environment is writable");
        venv
    }

    fn program(&self, name: &str) -> PathBuf {
        self.0.join("bin").join(name)
    }

    fn python(&self) -> Command {
        let mut command = Command::new(self.program("python"));
        command.env("PIP_DISABLE_PIP_VERSION_CHECK", "1");
        command
    }
}

/// Builds the wheel of this source and puts it in the place of the one before.
fn install_wheel(venv: &Venv, work: &Path) {
    let dist = work.join("dist");
    if dist.exists() {
        fs::remove_dir_all(&dist).expect("the wheel before can be removed");
    }
    let mut maturin = Command::new(venv.program("maturin"));
    maturin.args(["build", "--profile", "dev", "--compatibility", "linux", "--manifest-path"]);
    maturin.arg(Path::new(PACKAGE).join("Cargo.toml"));
    maturin.arg("--interpreter").arg(venv.program("python"));
    maturin.arg("--target-dir").arg(work.join("build")).arg("--out").arg(&dist);
    // Cargo describes this package to its tests; the cargo below maturin would take that for its own.
    for (name, _) in env::vars_os() {
        let described = name.to_str().is_some_and(|n| n.starts_with("CARGO_PKG_") || n == "CARGO_TARGET_DIR");
        if described {
            maturin.env_remove(name);
        }
    }
    // The library is stripped anyway.
    maturin.env("CARGO_PROFILE_DEV_DEBUG", "0");
    maturin.env_remove("CARGO_MANIFEST_DIR").env_remove("CARGO_BUILD_TARGET_DIR").env("VIRTUAL_ENV", &venv.0);
    succeed(&mut maturin);
    let wheels: Vec<PathBuf> = fs::read_dir(&dist)
        .expect("maturin made the folder")
        .map(|entry| entry.expect("the folder is readable").path())
        .filter(|path| path.extension() == Some(OsStr::new("whl")))
        .collect();
    let [wheel] = &wheels[..] else { panic!("one wheel was expected, not {wheels:?}") };
    let install = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--force-reinstall"];
    succeed(venv.python().args(install).arg(wheel));
}

/// `DORA_BIN`, or the `dora` of this build, which is built if it is not there yet.
fn dora() -> PathBuf {
    if let Some(given) = env::var_os("DORA_BIN") {
        return fs::canonicalize(given).expect("DORA_BIN names a file");
    }
    let dora = binaries().join("dora");
    if !dora.exists() {
        build("dora-cli", "--bins");
    }
    dora
}

/// The folder of the native nodes that run beside Python ones, and of the C library. They must speak the language of `dora`: those that are
/// there may be older.
fn native_nodes() -> PathBuf {
    if let Some(given) = env::var_os("DORA_NATIVE_NODES") {
        return fs::canonicalize(given).expect("DORA_NATIVE_NODES names a folder");
    }
    build("inverted-pendulum", "--bins");
    build("cross-language-example", "--bins");
    build("dora-node-api-c", "--lib");
    binaries()
}

/// `target/<profile>`
fn binaries() -> PathBuf {
    // target/<profile>/deps/pytest-<hash>
    let own = env::current_exe().expect("a test knows its own path");
    own.ancestors().nth(2).expect("a test lies in target/<profile>/deps").to_owned()
}

/// Builds the programs or the library of a package of this workspace in the profile of this test.
fn build(package: &str, what: &str) {
    let binaries = binaries();
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", what, "-p", package, "--target-dir"]);
    build.arg(binaries.parent().expect("target folder")).current_dir(PACKAGE);
    if binaries.ends_with("release") {
        build.arg("--release");
    }
    succeed(&mut build);
}

/// `dora` in the environment, as `pip install` would put it there.
fn link(dora: &Path, in_venv: &Path) {
    if in_venv.symlink_metadata().is_ok() {
        fs::remove_file(in_venv).expect("the link before can be removed");
    }
    std::os::unix::fs::symlink(dora, in_venv).expect("the environment is writable");
}

/// Runs pytest over this folder; gives its last line. Nothing is written to the source tree.
fn pytest(venv: &Venv, dora: &Path, natives: &Path, work: &Path) -> String {
    let mut pytest = venv.python();
    pytest.args(["-m", "pytest", "-q", "--color=no", "-p", "no:cacheprovider", "--durations=5"]);
    pytest.arg("--basetemp").arg(work.join("runs"));
    if let Ok(more) = env::var("DORA_PYTEST_ARGS") {
        pytest.args(more.split_whitespace());
    }
    pytest.arg(Path::new(PACKAGE).join("tests")).current_dir(work);
    pytest.env("DORA_BIN", dora).env("DORA_NATIVE_NODES", natives).env("PYTHONDONTWRITEBYTECODE", "1");
    // The environment is the active one, in every respect.
    let path = env::var_os("PATH").unwrap_or_default();
    let places = [venv.0.join("bin")].into_iter().chain(env::split_paths(&path));
    pytest.env("PATH", env::join_paths(places).expect("paths without a colon")).env("VIRTUAL_ENV", &venv.0);
    pytest.env_remove("PYTHONPATH").env_remove("PYTHONHOME");
    let output = succeed(&mut pytest);
    output.lines().last().unwrap_or_default().to_owned()
}

/// Runs `command` to its end and gives what it printed; panics with all of it when the command fails.
fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("failed to start {command:?}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} ended with {}\n{out}\n{err}", output.status);
    out.into_owned()
}
