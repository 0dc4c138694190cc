use super::*;

fn scratch(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("comity-xtask-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn a_tool_is_installed_once_for_its_pins_and_again_when_they_change() {
    let cache = scratch("stamp");
    let tools = Tools::at(&cache);
    let mut installs = 0;
    for pins in ["a==1", "a==1", "a==2"] {
        tools
            .ensure("tool", pins, |folder| {
                installs += 1;
                Ok(std::fs::create_dir_all(folder)?)
            })
            .unwrap();
    }
    assert_eq!(installs, 2);
    std::fs::remove_dir_all(cache).unwrap();
}

#[test]
fn a_version_that_is_too_old_or_none_is_refused_with_what_is_needed() {
    let node = NEEDED[1].2;
    assert!(check_version("v20.0.0\n", &node).is_ok() && check_version("v22.1.0", &node).is_ok());
    for (printed, word) in [("v18.19.0", "Node.js 20.0 or newer is needed, and v18.19.0"), ("nonsense", "nonsense")] {
        let error = check_version(printed, &node).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn an_installation_that_fails_after_its_folder_was_removed_does_not_count_as_the_one_before() {
    let cache = scratch("interrupted");
    let tools = Tools::at(&cache);
    tools.ensure("tool", "a==1", |folder| Ok(std::fs::create_dir_all(folder)?)).unwrap();
    std::fs::remove_dir_all(cache.join("tool")).unwrap();
    let half = |folder: &Path| {
        std::fs::create_dir_all(folder)?;
        bail!("no network")
    };
    tools.ensure("tool", "a==1", half).unwrap_err();
    assert!(tools.ensure("tool", "a==1", half).is_err(), "half a tool was taken for a whole one");
    std::fs::remove_dir_all(cache).unwrap();
}

#[test]
fn a_failed_installation_names_its_step_and_is_tried_again() {
    let cache = scratch("failed");
    let tools = Tools::at(&cache);
    let error = tools.ensure("tool", "a==1", |_| bail!("no network")).unwrap_err();
    assert!(format!("{error:#}").contains("install tool"), "{error:#}");
    let mut installed = false;
    tools
        .ensure("tool", "a==1", |folder| {
            installed = true;
            Ok(std::fs::create_dir_all(folder)?)
        })
        .unwrap();
    assert!(installed);
    std::fs::remove_dir_all(cache).unwrap();
}
