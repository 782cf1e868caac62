//! The fixes of one machine as one script: to read, to run, to run again, to take back.
//!
//! 1. It contains only what the findings call for; what only a person can do is printed, not done.
//! 2. Files that it creates are its own (`90-dora-realtime*`), so taking them back is removing them. What it overwrites
//!    is saved first, once.
//! 3. `ROOT=<folder>` prepares the files of another system (an image, a memory card) and touches nothing that runs.

use super::{Change, Context, Finding, Level};

const HEAD: &str = include_str!("plan_head.sh");
const TAIL: &str = include_str!("plan_tail.sh");

/// The script for `bash`. Prints what it would do without an argument, and needs `apply` or `undo` to do something.
pub fn script(context: &Context, findings: &[Finding]) -> String {
    let steps = Steps::of(findings);
    let mut out =
        String::from("#!/usr/bin/env bash\n# shellcheck disable=SC2016 # commands in notes are text\n#\n");
    out += "# Prepares a machine for real time, as `dora doctor --rt --fix-plan` proposes it. Read it before you run it.\n#\n";
    if let Some(kernel) = context.machine.read("proc/sys/kernel/osrelease") {
        out += &format!(
            "# Linux {}; real-time cores: {}.\n",
            comment(&kernel),
            super::list(&context.scope.cores)
        );
    }
    for finding in findings.iter().filter(|finding| finding.fix.is_some()) {
        out += &format!("# {} {}: {}\n", finding.level.name(), finding.check, comment(&finding.found));
    }
    let stuck: Vec<&Finding> =
        findings.iter().filter(|finding| finding.level >= Level::Warn && finding.fix.is_none()).collect();
    for finding in stuck {
        out += &format!(
            "# {} {}, which no script changes: {}\n",
            finding.level.name(),
            finding.check,
            comment(&finding.found)
        );
    }
    out += "#\n";
    out += HEAD;
    out += "\napply() {\n  check_root apply\n";
    out += &steps.apply();
    out += "}\n\nundo() {\n  check_root undo\n";
    out += &steps.undo();
    out += "}\n\nnotes() {\n";
    out += &steps.notes();
    out += "}\n";
    out += TAIL;
    out
}

/// A text on one line of comment.
fn comment(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A word for the shell, in single quotes.
fn quoted(text: &str) -> String {
    format!("'{}'", comment(text).replace('\'', "'\\''"))
}

/// The changes of all findings by kind, each once, in the order of the findings.
#[derive(Default)]
struct Steps {
    arguments: Vec<String>,
    sysctls: Vec<String>,
    at_boot: Vec<(String, String)>,
    now: Vec<(String, String)>,
    udev: Vec<String>,
    rights: bool,
    services: Vec<&'static str>,
    by_hand: Vec<String>,
}

impl Steps {
    fn of(findings: &[Finding]) -> Self {
        fn add<T: PartialEq>(list: &mut Vec<T>, item: T) {
            if !list.contains(&item) {
                list.push(item);
            }
        }
        let mut steps = Self::default();
        for change in findings.iter().filter_map(|finding| finding.fix.as_ref()).flat_map(|fix| &fix.changes)
        {
            match change.clone() {
                Change::KernelArgument(word) => add(&mut steps.arguments, word),
                Change::Sysctl { key, value } => add(&mut steps.sysctls, format!("{key} = {value}")),
                Change::File { path, value } => add(&mut steps.at_boot, (path, value)),
                Change::FileNow { path, value } => add(&mut steps.now, (path, value)),
                Change::Udev(rule) => add(&mut steps.udev, rule),
                Change::Rights => steps.rights = true,
                Change::StopService(name) => add(&mut steps.services, name),
                Change::ByHand(text) => add(&mut steps.by_hand, text),
            }
        }
        steps
    }

    fn apply(&self) -> String {
        let mut out = String::new();
        if self.rights {
            out += "  add_group\n";
            out += &put(
                "/etc/security/limits.d/90-dora-realtime.conf",
                &["@realtime  -  rtprio   99", "@realtime  -  memlock  unlimited"],
            );
            out += &put(
                "/etc/systemd/system/dora.service.d/90-dora-realtime.conf",
                &[
                    "[Service]",
                    "AmbientCapabilities=CAP_SYS_NICE CAP_IPC_LOCK",
                    "LimitRTPRIO=99",
                    "LimitMEMLOCK=infinity",
                    "LimitRTTIME=infinity",
                ],
            );
            out += "  live systemctl daemon-reload\n";
        }
        if !self.sysctls.is_empty() {
            for line in &self.sysctls {
                let key = line.split(' ').next().unwrap_or_default();
                out += &format!("  save '/proc/sys/{}'\n", key.replace('.', "/"));
            }
            out += &put("/etc/sysctl.d/90-dora-realtime.conf", &self.sysctls);
            out += "  live sysctl -q -p /etc/sysctl.d/90-dora-realtime.conf\n";
        }
        if !self.udev.is_empty() {
            out += &put("/etc/udev/rules.d/90-dora-realtime.rules", &self.udev);
            out += "  live udevadm control --reload\n  live udevadm trigger --subsystem-match=misc\n";
        }
        if !self.at_boot.is_empty() {
            let lines: Vec<String> =
                self.at_boot.iter().map(|(path, value)| format!("w {path} - - - - {value}")).collect();
            out += &put("/etc/tmpfiles.d/90-dora-realtime.conf", &lines);
        }
        for (path, value) in self.at_boot.iter().chain(&self.now) {
            out += &format!("  write {} {}\n", quoted(path), quoted(value));
        }
        for service in &self.services {
            out += &format!("  stop_service {service}\n");
        }
        if !self.arguments.is_empty() {
            out += &format!("  add_arguments {}\n", quoted(&self.arguments.join(" ")));
        }
        if out.is_empty() { "  echo 'nothing to change'\n".into() } else { out }
    }

    fn undo(&self) -> String {
        let mut out = String::new();
        if !self.arguments.is_empty() {
            out += &format!("  remove_arguments {}\n", quoted(&self.arguments.join(" ")));
        }
        for service in &self.services {
            out += &format!("  start_service {service}\n");
        }
        if !self.at_boot.is_empty() {
            out += "  drop /etc/tmpfiles.d/90-dora-realtime.conf\n";
        }
        if !self.udev.is_empty() {
            out += "  drop /etc/udev/rules.d/90-dora-realtime.rules\n  live udevadm control --reload\n";
        }
        if !self.sysctls.is_empty() {
            out += "  drop /etc/sysctl.d/90-dora-realtime.conf\n";
        }
        if self.rights {
            out += "  drop /etc/systemd/system/dora.service.d/90-dora-realtime.conf\n";
            out += "  drop /etc/security/limits.d/90-dora-realtime.conf\n  live systemctl daemon-reload\n  remove_group\n";
        }
        for (path, _) in self.now.iter().chain(&self.at_boot) {
            out += &format!("  restore {}\n", quoted(path));
        }
        for line in &self.sysctls {
            let key = line.split(' ').next().unwrap_or_default();
            out += &format!("  restore '/proc/sys/{}'\n", key.replace('.', "/"));
        }
        if out.is_empty() { "  echo 'nothing to take back'\n".into() } else { out }
    }

    fn notes(&self) -> String {
        let mut out = String::new();
        for text in &self.by_hand {
            out += &format!("  note {}\n", quoted(text));
        }
        if !self.arguments.is_empty() {
            out += &format!("  note {}\n", quoted(&format!("reboot for: {}", self.arguments.join(" "))));
        }
        if self.rights {
            out += "  note 'log in anew after joining the group realtime: ulimit -r then says 99'\n";
        }
        if out.is_empty() { "  :\n".into() } else { out }
    }
}

/// Lines of a file that is our own.
fn put<T: AsRef<str>>(path: &str, lines: &[T]) -> String {
    let body: Vec<String> = lines.iter().map(|line| comment(line.as_ref())).collect();
    format!("  put {path} <<'END_OF_FILE'\n{}\nEND_OF_FILE\n", body.join("\n"))
}
