//! The programs find every library they are linked with among the packages of the image.

use std::path::Path;
use std::process::Command;

fn output(program: &str, args: &[&str]) -> String {
    let output =
        Command::new(program).args(args).env("LC_ALL", "C").output().unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The packages that the last stage of the image installs, and the C library that every image of Debian has.
fn packages() -> Vec<String> {
    let file = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../Dockerfile")).unwrap();
    let (_, stage) = file.rsplit_once("\nFROM ").unwrap();
    let (_, list) = stage.split_once("--no-install-recommends").unwrap();
    let words = list.split("&&").next().unwrap().split_whitespace().filter(|word| *word != "\\");
    words.chain(["libc6"]).map(str::to_owned).collect()
}

#[test]
fn libraries_of_the_programs_are_in_the_packages_of_the_image() {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    if !release.contains("VERSION_CODENAME=bookworm") {
        eprintln!("skipped: this is not the Debian of the image");
        return;
    }
    let packages = packages();
    let spool = Path::new(env!("CARGO_BIN_EXE_spool"));
    // Cargo names the binaries of this package only; the others lie beside it when they were built.
    let programs = ["spool", "spool-tui", "spool-record"].map(|name| spool.with_file_name(name));
    for program in programs.iter().filter(|program| program.exists()) {
        let program = program.to_str().unwrap();
        let linked = output("ldd", &[program]);
        let direct = output("readelf", &["--dynamic", program]);
        let names = direct.lines().filter_map(|line| line.split_once("Shared library: [")?.1.strip_suffix(']'));
        for name in names {
            let path =
                linked.lines().find_map(|line| line.split_once(&format!("{name} => "))?.1.split_whitespace().next());
            // The loader itself has no arrow; it belongs to the C library.
            let Some(path) = path else {
                assert!(name.starts_with("ld-linux"), "{program} does not find {name}: {linked}");
                continue;
            };
            // Packages name files where the folders of the system really are, and some below /usr.
            let real = std::fs::canonicalize(path).unwrap();
            let short = real.strip_prefix("/usr").map_or(real.clone(), |path| Path::new("/").join(path));
            let owner = [real.as_path(), short.as_path(), Path::new(path)].iter().find_map(|path| {
                let found = Command::new("dpkg").args(["--search", path.to_str()?]).output().ok()?;
                let text = String::from_utf8(found.stdout).ok()?;
                Some(text.split_once([':', ','])?.0.to_owned())
            });
            let owner = owner.unwrap_or_else(|| panic!("no package has {path}"));
            assert!(packages.contains(&owner), "{program} needs {name} of {owner}, which the image has not");
        }
    }
}
