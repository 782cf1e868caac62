//! The page of `dora graph` in a real browser: Chromium without a head, where there is one.

use std::{fs, path::Path, process::Command};

use crate::support::Project;

const FLOW: &str = "\
nodes:
  - id: camera
    path: camera
    cpu_affinity: [0]
    inputs: { tick: dora/timer/millis/20 }
    outputs: [image]
  - id: plot
    path: plot
    inputs: { image: { source: camera/image, deadline: 5ms } }
";

/// The browser; says so where there is none.
fn chromium() -> Option<&'static str> {
    let found = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| {
        Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success())
    });
    if found.is_none() {
        println!("skipped: needs chromium or google-chrome");
    }
    found
}

fn browse(browser: &str, folder: &Path, flags: &[&str], page: &Path) -> String {
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--window-size=1200,700"])
        // Whatever it asked for would not be found.
        .arg("--host-resolver-rules=MAP * ~NOTFOUND")
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .args(flags)
        .arg(format!("file://{}", page.display()))
        .output()
        .expect("the browser starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The page, which does something by itself once it is loaded.
fn page_that(project: &Project, does: &str) -> std::path::PathBuf {
    let ended = project.dora(&["graph", "flow.yml"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let page = fs::read_to_string(project.path("flow-graph.html")).expect("the page");
    let path = project.path("doing.html");
    fs::write(&path, page.replace("</body>", &format!("<script>{does}</script></body>"))).expect("a copy");
    path
}

#[test]
fn a_browser_without_a_network_draws_the_page() {
    let Some(browser) = chromium() else { return };
    let project = Project::new(FLOW);
    let page = page_that(&project, "");
    let shot = project.path("shot.png");
    let folder = project.path("");
    browse(browser, &folder, &[&format!("--screenshot={}", shot.display())], &page);
    let picture = fs::read(shot).expect("the screenshot");
    assert!(picture.starts_with(b"\x89PNG"), "no picture");
    // An empty page of this size compresses to 4 kB.
    assert!(picture.len() > 12_000, "{} bytes show next to nothing", picture.len());
    let shown = browse(browser, &folder, &["--dump-dom"], &page);
    let view = shown.split("viewBox=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a view");
    let numbers: Vec<f64> = view.split(' ').map(|n| n.parse().expect("a number")).collect();
    assert!(numbers.len() == 4 && numbers[2] > 0.0 && numbers[3] > 0.0, "the script fitted nothing: {view}");
}

#[test]
fn a_click_shows_the_details_and_what_a_node_is_wired_to() {
    let Some(browser) = chromium() else { return };
    let project = Project::new(FLOW);
    let click = "document.querySelector('.node[data-name=\"plot\"]').dispatchEvent(new MouseEvent('click', { bubbles: true }));";
    let shown = browse(browser, &project.path(""), &["--dump-dom"], &page_that(&project, click));
    let details = shown.split("id=\"details\"").nth(1).and_then(|rest| rest.split("</section>").next());
    let details = details.expect("the panel");
    assert!(details.contains("<h2>plot</h2>") && !details.starts_with(" hidden"), "{details}");
    let lit = shown.split("class=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let lit = lit.filter(|classes| classes.split(' ').any(|class| class == "on")).count();
    assert_eq!(lit, 3, "the node, its edge and where that comes from");
}
