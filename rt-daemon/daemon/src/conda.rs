//! Conda environments of Python operators: found by the rules of conda, without starting conda.
//!
//! A name is looked for where conda itself would put an environment: in the folders that its variables name, beside the `conda`
//! that is in `PATH` or active, in the list that it keeps, and at its usual places. The interpreter is then started itself:
//! `conda run` would stand between it and its signals.

use std::{
    fs,
    path::{Path, PathBuf},
};

use dora_protocol::operator::{Operator, OperatorSource};

use crate::{
    environment::{Env, put_first},
    program::is_executable,
};

/// An environment that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conda {
    /// As the descriptor has it.
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
}

/// The environment that these operators ask for; that they do not ask for two has been checked.
pub(crate) fn wanted(operators: &[Operator]) -> Option<&str> {
    operators.iter().find_map(|operator| match &operator.source {
        OperatorSource::Python { conda_env, .. } => conda_env.as_deref(),
        OperatorSource::SharedLibrary { .. } => None,
    })
}

impl Conda {
    /// Finds it in `env`, the environment that the node will have.
    ///
    /// # Errors
    /// All folders where it could have been.
    pub(crate) fn find(name: &str, working_dir: &Path, env: &Env) -> Result<Self, Vec<PathBuf>> {
        let places = places(name, working_dir, env);
        match places.iter().find(|folder| is_executable(&folder.join("bin/python"))) {
            Some(folder) => Ok(Self { name: name.to_owned(), folder: folder.clone() }),
            None => Err(places),
        }
    }

    pub(crate) fn interpreter(&self) -> PathBuf {
        self.folder.join("bin/python")
    }

    /// Sets what an activated environment sets. What its packages put into `activate.d` is not run.
    pub(crate) fn activate(&self, env: &mut Env, host: &Env) {
        put_first(env, host, &self.folder);
        env.insert("CONDA_PREFIX".to_owned(), self.folder.display().to_string());
        env.insert("CONDA_DEFAULT_ENV".to_owned(), self.name.clone());
        // One that is active here must not win: empty is as good as unset.
        env.insert("VIRTUAL_ENV".to_owned(), String::new());
    }
}

/// Where an environment may lie, best first.
fn places(name: &str, working_dir: &Path, env: &Env) -> Vec<PathBuf> {
    if name.contains('/') {
        return vec![working_dir.join(name)];
    }
    let home = text(env, "HOME").map(PathBuf::from);
    let roots = roots(env, home.as_deref());
    let mut places = Vec::new();
    if name == "base" {
        places = roots;
    } else {
        for key in ["CONDA_ENVS_DIRS", "CONDA_ENVS_PATH"] {
            places
                .extend(text(env, key).into_iter().flat_map(std::env::split_paths).map(|dir| dir.join(name)));
        }
        places.extend(roots.iter().map(|root| root.join("envs").join(name)));
        if let Some(home) = &home {
            places.push(home.join(".conda/envs").join(name));
            // Environments that were made elsewhere with `--prefix`. Without the list there are none.
            let list = fs::read_to_string(home.join(".conda/environments.txt")).unwrap_or_default();
            let known = list.lines().map(|line| PathBuf::from(line.trim()));
            places.extend(known.filter(|folder| folder.file_name().is_some_and(|last| last == name)));
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    places.retain(|place| seen.insert(place.clone()));
    places
}

/// Where conda, or something like it, may be installed.
fn roots(env: &Env, home: Option<&Path>) -> Vec<PathBuf> {
    let above = |file: &Path| file.ancestors().nth(2).map(Path::to_owned);
    let mut roots: Vec<PathBuf> = Vec::new();
    roots.extend(text(env, "CONDA_EXE").and_then(|file| above(Path::new(file))));
    roots.extend(text(env, "MAMBA_ROOT_PREFIX").map(PathBuf::from));
    if let Some(active) = text(env, "CONDA_PREFIX").map(Path::new) {
        let outer = active.parent().filter(|folder| folder.file_name().is_some_and(|name| name == "envs"));
        roots.extend(outer.and_then(Path::parent).or(Some(active)).map(Path::to_owned));
    }
    let path = text(env, "PATH").unwrap_or_default();
    for file in std::env::split_paths(path).flat_map(|dir| ["conda", "mamba"].map(|name| dir.join(name))) {
        if is_executable(&file) {
            // What is in `PATH` may be a link to the real one.
            roots.extend(
                above(&file).into_iter().chain(fs::canonicalize(&file).ok().as_deref().and_then(above)),
            );
        }
    }
    let usual = ["miniforge3", "miniconda3", "anaconda3", "micromamba"];
    roots.extend(home.into_iter().flat_map(|home| usual.map(|name| home.join(name))));
    roots.push(PathBuf::from("/opt/conda"));
    roots
}

fn text<'a>(env: &'a Env, key: &str) -> Option<&'a str> {
    env.get(key).map(String::as_str).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A folder in which an environment is made that has nothing but an interpreter.
    struct Machine(tempfile::TempDir);

    impl Machine {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn program(&self, name: &str) -> PathBuf {
            let file = self.path(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, "#!/bin/sh\n").unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
            file
        }

        fn env(&self, entries: &[(&str, &str)]) -> Env {
            let value = |name: &str| self.path(name).display().to_string();
            entries.iter().map(|(key, name)| ((*key).to_owned(), value(name))).collect()
        }

        #[track_caller]
        fn finds(&self, name: &str, entries: &[(&str, &str)], expected: &str) {
            let found = Conda::find(name, &self.path("flow"), &self.env(entries));
            assert_eq!(found.map(|conda| conda.folder), Ok(self.path(expected)), "{name} {entries:?}");
        }
    }

    #[test]
    fn an_environment_is_found_wherever_conda_would_have_put_it() {
        let machine = Machine::new();
        for name in ["forge/envs/arm", "forge", "other/arm", "home/.conda/envs/mine", "flow/local"] {
            machine.program(&format!("{name}/bin/python"));
        }
        let conda = machine.program("forge/condabin/conda");
        machine.program("home/miniconda3/envs/usual/bin/python");
        machine.finds("arm", &[("CONDA_EXE", "forge/bin/conda")], "forge/envs/arm");
        machine.finds("base", &[("CONDA_EXE", "forge/bin/conda")], "forge");
        machine.finds("arm", &[("MAMBA_ROOT_PREFIX", "forge")], "forge/envs/arm");
        machine.finds("arm", &[("CONDA_PREFIX", "forge/envs/another")], "forge/envs/arm");
        machine.finds("arm", &[("CONDA_PREFIX", "forge")], "forge/envs/arm");
        machine.finds("arm", &[("PATH", "forge/condabin")], "forge/envs/arm");
        machine.finds("arm", &[("CONDA_ENVS_DIRS", "other"), ("CONDA_PREFIX", "forge")], "other/arm");
        machine.finds("mine", &[("HOME", "home")], "home/.conda/envs/mine");
        machine.finds("usual", &[("HOME", "home")], "home/miniconda3/envs/usual");
        machine.finds("./local", &[], "flow/./local");
        let list = format!("/nowhere/arm\n{}\n", machine.path("other/arm").display());
        fs::write(machine.path("home/.conda/environments.txt"), list).unwrap();
        machine.finds("arm", &[("HOME", "home")], "other/arm");
        fs::create_dir_all(machine.path("bin")).unwrap();
        std::os::unix::fs::symlink(conda, machine.path("bin/conda")).unwrap();
        fs::remove_file(machine.path("home/.conda/environments.txt")).unwrap();
        let found = Conda::find("arm", Path::new("/"), &machine.env(&[("PATH", "bin")])).unwrap();
        assert_eq!(
            fs::canonicalize(found.folder).unwrap(),
            fs::canonicalize(machine.path("forge/envs/arm")).unwrap()
        );
    }

    #[test]
    fn what_is_not_there_is_told_with_all_places_and_nothing_is_looked_for_twice() {
        let machine = Machine::new();
        fs::create_dir_all(machine.path("forge/envs/arm/bin")).unwrap();
        let env = machine.env(&[("CONDA_PREFIX", "forge"), ("MAMBA_ROOT_PREFIX", "forge"), ("HOME", "home")]);
        let places = Conda::find("arm", Path::new("/flow"), &env).unwrap_err();
        let expected = machine.path("forge/envs/arm");
        assert_eq!(places.iter().filter(|place| **place == expected).count(), 1, "{places:?}");
        assert_eq!(Conda::find("/x/y", Path::new("/flow"), &env), Err(vec!["/x/y".into()]));
    }
}
