//! From `path:` to a program that can be executed: where to look, in which order, and what to say when it is not
//! there.
//!
//! The working directory comes first, then the active virtual environment, then `PATH`. Everything is resolved
//! before the first process is started, so that one forgotten `dora build` does not leave half a robot running.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use dora_protocol::{
    dataflow::{Node, NodeKind},
    env::IN_PATH,
    operator::{Operator, OperatorSource},
};

use crate::{
    conda::{self, Conda},
    environment::{Env, activate, expand, managed_python},
    error::ProgramError,
    options::RunOptions,
};

/// What to execute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) file: PathBuf,
    pub(crate) args: Vec<String>,
    /// The environment that shall be active, when it is not the one of this process.
    pub(crate) environment: Option<Active>,
    /// Sentences for the user; the program can be started nevertheless.
    pub(crate) warnings: Vec<String>,
}

/// An environment of Python that a program runs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Active {
    /// A virtual environment.
    Virtual(PathBuf),
    /// One of conda.
    Conda(Conda),
}

impl Active {
    /// Sets in `env` what activating it sets; `host` has what `env` does not override.
    pub(crate) fn set(&self, env: &mut Env, host: &Env) {
        match self {
            Self::Virtual(folder) => activate(env, host, folder),
            Self::Conda(conda) => conda.activate(env, host),
        }
    }
}

/// Finds the program of a node in `env`, the whole environment the node will have. `None` for a dynamic node.
/// `dataflow_dir` is the working directory of the dataflow; a node may have one of its own.
pub(crate) fn resolve(
    node: &Node,
    dataflow_dir: &Path,
    env: &Env,
    options: &RunOptions,
) -> Result<Option<Program>, ProgramError> {
    let working_dir = node.working_dir.as_deref().unwrap_or(dataflow_dir);
    match &node.kind {
        NodeKind::Dynamic => Ok(None),
        NodeKind::Shell { .. } if !options.allow_shell_nodes => {
            Err(ProgramError::ShellNotAllowed { at: Box::new(node.at.clone()), node: node.id.clone() })
        }
        NodeKind::Shell { command } => Ok(Some(Program {
            file: PathBuf::from("/bin/sh"),
            args: vec!["-c".into(), command.clone()],
            environment: None,
            warnings: Vec::new(),
        })),
        NodeKind::Executable { path, args } => {
            let (expanded, unknown) =
                expand(path, |var| IN_PATH.contains(&var).then(|| env.get(var).cloned()).flatten());
            let mut program = if expanded.ends_with(".py") {
                let managed = managed_python(node, dataflow_dir).filter(|_| options.uv);
                python(node, &expanded, working_dir, env, options.uv, managed)?
            } else {
                Program {
                    file: executable(node, &expanded, working_dir, env)?,
                    args: vec![],
                    environment: None,
                    warnings: vec![],
                }
            };
            program.args.extend(args.iter().cloned());
            program.warnings.extend(unknown.into_iter().map(|var| {
                format!(
                    "{}: `path: {path}` uses `${var}`; only {} are known there",
                    node.at,
                    IN_PATH.join(", ")
                )
            }));
            Ok(Some(program))
        }
        NodeKind::Runtime { operators } => runtime(node, operators, dataflow_dir, env, options).map(Some),
    }
}

/// The process that hosts operators: `dora runtime`, or the interpreter with the runtime of the Python package.
fn runtime(
    node: &Node,
    operators: &[Operator],
    dataflow_dir: &Path,
    env: &Env,
    options: &RunOptions,
) -> Result<Program, ProgramError> {
    let working_dir = node.working_dir.as_deref().unwrap_or(dataflow_dir);
    for Operator { source, .. } in operators {
        let candidates = source.candidates(working_dir);
        if !candidates.iter().any(|file| file.is_file()) {
            return Err(missing(node, source.path(), &candidates[0], &candidates[1..]));
        }
    }
    let mut program = if let Some(name) = conda::wanted(operators) {
        in_conda(node, name, working_dir, env)?
    } else if let Some(Operator { source: OperatorSource::Python { source, .. }, .. }) = operators.first() {
        let managed = managed_python(node, dataflow_dir).filter(|_| options.uv);
        let mut program = python(node, source, working_dir, env, options.uv, managed)?;
        // The runtime loads the scripts itself.
        program.args.pop();
        program
    } else {
        return native_runtime(node, working_dir, env);
    };
    program.args.extend(["-c".into(), "from dora import start_runtime; start_runtime()".into()]);
    Ok(program)
}

/// The interpreter of a conda environment.
fn in_conda(node: &Node, name: &str, working_dir: &Path, env: &Env) -> Result<Program, ProgramError> {
    let conda = Conda::find(name, working_dir, env).map_err(|searched| ProgramError::NoConda {
        at: Box::new(node.at.clone()),
        node: node.id.clone(),
        name: name.to_owned(),
        searched: list(searched.iter()),
    })?;
    Ok(Program {
        file: conda.interpreter(),
        args: vec!["-u".into()],
        environment: Some(Active::Conda(conda)),
        warnings: Vec::new(),
    })
}

fn native_runtime(node: &Node, working_dir: &Path, env: &Env) -> Result<Program, ProgramError> {
    let own = std::env::current_exe().ok().filter(|file| file.file_stem().is_some_and(|stem| stem == "dora"));
    let file = match own {
        Some(file) => file,
        // This daemon is part of another program.
        None => executable(node, "dora", working_dir, env)?,
    };
    Ok(Program { file, args: vec!["runtime".into()], environment: None, warnings: Vec::new() })
}

fn executable(node: &Node, path: &str, working_dir: &Path, env: &Env) -> Result<PathBuf, ProgramError> {
    let local = working_dir.join(path);
    if local.is_file() {
        return if is_executable(&local) {
            Ok(local)
        } else {
            Err(ProgramError::NotExecutable {
                at: Box::new(node.at.clone()),
                node: node.id.clone(),
                file: local,
            })
        };
    }
    // A path with a folder in it names one file; only a bare name is looked up.
    let places = if path.contains('/') { Vec::new() } else { search_path(env) };
    if let Some(found) = places.iter().map(|dir| dir.join(path)).find(|f| f.is_file() && is_executable(f)) {
        return Ok(found);
    }
    Err(missing(node, path, &local, &places))
}

fn python(
    node: &Node,
    path: &str,
    working_dir: &Path,
    env: &Env,
    uv: bool,
    managed: Option<PathBuf>,
) -> Result<Program, ProgramError> {
    let script = working_dir.join(path);
    if !script.is_file() {
        return Err(missing(node, path, &script, &[]));
    }
    let places = search_path(env);
    let find = |name: &str| places.iter().map(|dir| dir.join(name)).find(|f| f.is_file() && is_executable(f));
    let absent = |interpreter, hint| ProgramError::Interpreter {
        at: Box::new(node.at.clone()),
        node: node.id.clone(),
        script: path.to_owned(),
        interpreter,
        searched: list(places.iter()),
        hint,
    };
    let script = script.to_string_lossy().into_owned();
    if let Some(folder) = managed {
        let file = folder.join("bin/python");
        if !is_executable(&file) {
            let (at, node) = (Box::new(node.at.clone()), node.id.clone());
            return Err(ProgramError::NoEnvironment { at, node, folder });
        }
        let args = vec!["-u".into(), script];
        return Ok(Program { file, args, environment: Some(Active::Virtual(folder)), warnings: Vec::new() });
    }
    if uv {
        let file = find("uv").ok_or_else(|| absent("uv", "install uv, or run without `--uv`"))?;
        let args = ["run", "python", "-u"].map(String::from).into_iter().chain([script]).collect();
        return Ok(Program { file, args, environment: None, warnings: Vec::new() });
    }
    // Place by place: an environment that only has `python` wins over a `python3` further down the path.
    let file = places
        .iter()
        .flat_map(|dir| ["python3", "python"].map(|name| dir.join(name)))
        .find(|file| file.is_file() && is_executable(file))
        .ok_or_else(|| absent("python3", "install Python, activate a virtual environment, or use `--uv`"))?;
    Ok(Program { file, args: vec!["-u".into(), script], environment: None, warnings: Vec::new() })
}

/// The active virtual environment, then `PATH`.
fn search_path(env: &Env) -> Vec<PathBuf> {
    let virtual_env = env.get("VIRTUAL_ENV").filter(|v| !v.is_empty()).map(|v| Path::new(v).join("bin"));
    let path = env.get("PATH").map(String::as_str).unwrap_or("/usr/local/bin:/usr/bin:/bin");
    virtual_env.into_iter().chain(std::env::split_paths(path).filter(|p| !p.as_os_str().is_empty())).collect()
}

pub(crate) fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|m| m.permissions().mode() & 0o111 != 0)
}

fn missing(node: &Node, path: &str, local: &Path, places: &[PathBuf]) -> ProgramError {
    let hint = if node.build.is_empty() {
        String::new()
    } else {
        format!("; the node has a `build:` entry (`{}`): run `dora build` first", node.build.join(" && "))
    };
    ProgramError::Missing {
        at: Box::new(node.at.clone()),
        node: node.id.clone(),
        path: path.to_owned(),
        searched: list(std::iter::once(&local.to_path_buf()).chain(places)),
        hint,
    }
}

fn list<'a>(places: impl Iterator<Item = &'a PathBuf>) -> String {
    places.map(|p| format!("`{}`", p.display())).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::testing::node;

    struct Place {
        dir: tempfile::TempDir,
        env: Env,
    }

    fn place() -> Place {
        let dir = tempfile::tempdir().unwrap();
        for sub in ["flow", "bin", "venv/bin"] {
            fs::create_dir_all(dir.path().join(sub)).unwrap();
        }
        let env = Env::from([("PATH".into(), dir.path().join("bin").display().to_string())]);
        Place { dir, env }
    }

    impl Place {
        fn file(&self, name: &str, mode: u32) -> PathBuf {
            let path = self.dir.path().join(name);
            fs::write(&path, "#!/bin/sh\n").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        }
        fn resolve(&self, node: &Node, options: &RunOptions) -> Result<Program, ProgramError> {
            resolve(node, &self.dir.path().join("flow"), &self.env, options).map(Option::unwrap)
        }
    }

    #[test]
    fn the_working_directory_comes_before_the_path() {
        let place = place();
        let from_path = place.file("bin/tool", 0o755);
        let options = RunOptions::default();
        assert_eq!(place.resolve(&node("a", "tool"), &options).unwrap().file, from_path);
        let local = place.file("flow/tool", 0o755);
        assert_eq!(place.resolve(&node("a", "tool"), &options).unwrap().file, local);
    }

    #[test]
    fn a_missing_program_names_node_place_all_searched_and_the_build_hint() {
        let place = place();
        let mut node = node("camera", "cam");
        node.build = vec!["cargo build -p cam".into()];
        let text = place.resolve(&node, &RunOptions::default()).unwrap_err().to_string();
        for part in ["flow.yml:3:5", "camera", "flow/cam", "bin", "cargo build -p cam", "dora build"] {
            assert!(text.contains(part), "`{part}` is not in: {text}");
        }
        node.kind = NodeKind::Executable { path: "sub/cam".into(), args: vec![] };
        let text = place.resolve(&node, &RunOptions::default()).unwrap_err().to_string();
        assert!(!text.contains("/bin`"), "a path with a folder is not looked up in PATH: {text}");
    }

    #[test]
    fn a_file_without_the_x_bit_gets_the_chmod_hint() {
        let place = place();
        place.file("flow/tool", 0o644);
        let text = place.resolve(&node("a", "tool"), &RunOptions::default()).unwrap_err().to_string();
        assert!(text.contains("chmod +x"), "{text}");
    }

    #[test]
    fn scripts_run_unbuffered_under_the_interpreter_of_the_virtual_environment() {
        let mut place = place();
        let script = place.file("flow/n.py", 0o644).display().to_string();
        let text = place.resolve(&node("a", "n.py"), &RunOptions::default()).unwrap_err().to_string();
        assert!(text.contains("python3") && text.contains("virtual environment"), "{text}");
        place.file("bin/python3", 0o755);
        let venv = place.file("venv/bin/python3", 0o755);
        place.env.insert("VIRTUAL_ENV".into(), place.dir.path().join("venv").display().to_string());
        let program = place.resolve(&node("a", "n.py"), &RunOptions::default()).unwrap();
        assert_eq!((program.file, program.args), (venv.clone(), vec!["-u".to_owned(), script.clone()]));
        fs::rename(&venv, venv.with_file_name("python")).unwrap();
        let program = place.resolve(&node("a", "n.py"), &RunOptions::default()).unwrap();
        assert_eq!(program.file, venv.with_file_name("python"), "the environment comes before the path");
        let uv = place.file("bin/uv", 0o755);
        let options = RunOptions { uv: true, ..RunOptions::default() };
        let program = place.resolve(&node("a", "n.py"), &options).unwrap();
        assert_eq!(program.file, uv);
        assert_eq!(program.args, ["run", "python", "-u", &script]);
    }

    #[test]
    fn under_uv_a_built_script_runs_in_its_own_environment_or_names_it_when_it_is_gone() {
        let place = place();
        place.file("flow/n.py", 0o644);
        place.file("bin/uv", 0o755);
        let mut node = node("a", "n.py");
        node.build = vec!["pip install x".into()];
        let options = RunOptions { uv: true, ..RunOptions::default() };
        let text = place.resolve(&node, &options).unwrap_err().to_string();
        for part in ["flow.yml:3:5", "node `a`", "flow/.dora/python-envs/a", "dora build --uv"] {
            assert!(text.contains(part), "`{part}` is not in: {text}");
        }
        fs::create_dir_all(place.dir.path().join("flow/.dora/python-envs/a/bin")).unwrap();
        let python = place.file("flow/.dora/python-envs/a/bin/python", 0o755);
        let program = place.resolve(&node, &options).unwrap();
        let folder = place.dir.path().join("flow/.dora/python-envs/a");
        assert_eq!(program.environment, Some(Active::Virtual(folder)));
        assert_eq!((program.file, program.args[0].as_str()), (python, "-u"));
    }

    #[test]
    fn a_node_with_a_folder_of_its_own_is_looked_for_there_only() {
        let place = place();
        place.file("flow/tool", 0o755);
        fs::create_dir_all(place.dir.path().join("clone")).unwrap();
        let mut node = node("a", "./tool");
        node.working_dir = Some(place.dir.path().join("clone"));
        let text = place.resolve(&node, &RunOptions::default()).unwrap_err().to_string();
        assert!(text.contains("clone/./tool") && !text.contains("flow/"), "{text}");
        let file = place.file("clone/tool", 0o755);
        let found = place.resolve(&node, &RunOptions::default()).unwrap().file;
        assert_eq!(fs::canonicalize(found).unwrap(), fs::canonicalize(file).unwrap());
    }

    fn runtime_node(sources: Vec<OperatorSource>) -> Node {
        let operator = |source| Operator {
            id: "op".parse().unwrap(),
            at: Default::default(),
            source,
            sha256: None,
            inputs: Vec::new(),
            outputs: Vec::new(),
            budget_ns: None,
        };
        let operators = sources.into_iter().map(operator).collect();
        Node { kind: NodeKind::Runtime { operators }, ..node("rt", "") }
    }

    #[test]
    fn a_runtime_needs_its_libraries_and_is_the_dora_command() {
        let place = place();
        let dora = place.file("bin/dora", 0o755);
        let node = runtime_node(vec![OperatorSource::SharedLibrary { path: "filter".into() }]);
        let text = place.resolve(&node, &RunOptions::default()).unwrap_err().to_string();
        let name = format!("{}filter{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
        assert!(text.contains(&name) && text.contains("`rt`"), "{text}");
        place.file(&format!("flow/{name}"), 0o644);
        let program = place.resolve(&node, &RunOptions::default()).unwrap();
        assert_eq!((program.file, program.args), (dora, vec!["runtime".to_owned()]));
    }

    #[test]
    fn python_operators_run_under_the_interpreter_of_their_node() {
        let place = place();
        let python = place.file("bin/python3", 0o755);
        let script = |conda_env| OperatorSource::Python { source: "op.py".into(), conda_env };
        let node = runtime_node(vec![script(None)]);
        assert!(place.resolve(&node, &RunOptions::default()).is_err(), "the script is not there");
        place.file("flow/op.py", 0o644);
        let program = place.resolve(&node, &RunOptions::default()).unwrap();
        assert_eq!((program.file, &program.args[..2]), (python, &["-u".to_owned(), "-c".to_owned()][..]));
        assert!(program.args[2].contains("start_runtime()"), "{:?}", program.args);
    }

    #[test]
    fn python_operators_with_a_conda_environment_run_in_it_also_under_uv_or_name_what_was_searched() {
        let mut place = place();
        place.file("bin/python3", 0o755);
        place.file("flow/op.py", 0o644);
        let root = place.dir.path().join("forge");
        place.env.insert("MAMBA_ROOT_PREFIX".into(), root.display().to_string());
        place.env.insert("VIRTUAL_ENV".into(), place.dir.path().join("venv").display().to_string());
        let script = |conda_env| OperatorSource::Python { source: "op.py".into(), conda_env };
        let mut node = runtime_node(vec![script(None), script(Some("arm".into()))]);
        node.build = vec!["pip install x".into()];
        let text = place.resolve(&node, &RunOptions::default()).unwrap_err().to_string();
        for part in ["flow.yml:3:5", "node `rt`", "conda environment `arm`", "forge/envs/arm", "conda create"]
        {
            assert!(text.contains(part), "`{part}` is not in: {text}");
        }
        fs::create_dir_all(root.join("envs/arm/bin")).unwrap();
        let python = place.file("forge/envs/arm/bin/python", 0o755);
        for options in [RunOptions::default(), RunOptions { uv: true, ..RunOptions::default() }] {
            let program = place.resolve(&node, &options).unwrap();
            assert_eq!((&program.file, program.args[0].as_str()), (&python, "-u"));
            let (mut env, host) = (Env::new(), place.env.clone());
            program.environment.unwrap().set(&mut env, &host);
            assert_eq!(env["CONDA_PREFIX"], root.join("envs/arm").display().to_string());
            assert_eq!((env["CONDA_DEFAULT_ENV"].as_str(), env["VIRTUAL_ENV"].as_str()), ("arm", ""));
            assert!(env["PATH"].starts_with(&root.join("envs/arm/bin:").display().to_string()), "{env:?}");
        }
    }

    #[test]
    fn shell_nodes_need_permission() {
        let place = place();
        let mut node = node("a", "x");
        node.kind = NodeKind::Shell { command: "echo hi".into() };
        let refused = place.resolve(&node, &RunOptions::default()).unwrap_err().to_string();
        assert!(refused.contains("--allow-shell-nodes"), "{refused}");
        let options = RunOptions { allow_shell_nodes: true, ..RunOptions::default() };
        assert_eq!(place.resolve(&node, &options).unwrap().args, ["-c", "echo hi"]);
    }

    #[test]
    fn known_variables_in_the_path_expand_and_others_are_named() {
        let mut place = place();
        let file = place.file("bin/tool", 0o755);
        place.env.insert("HOME".into(), place.dir.path().display().to_string());
        assert_eq!(place.resolve(&node("a", "$HOME/bin/tool"), &RunOptions::default()).unwrap().file, file);
        place.file("flow/$X", 0o755);
        let program = place.resolve(&node("a", "$X"), &RunOptions::default()).unwrap();
        assert!(program.warnings[0].contains("$X"), "{:?}", program.warnings);
    }
}
