//! A witness that we did not write (PyPI `aics-witness`) has a seat of the policy: a broker neither starts nor goes on without
//! it, and what it cosigned holds.

use comity_identity::Root;
use comity_membership::log;
use comity_tests::clients::tools;
use comity_tests::federation::FEDERATION;
use comity_transparency::{Kind, Verifier};

use super::*;

/// What it calls itself.
const NAME: &str = "third.example/w";

/// It, in a folder of its own.
struct Third {
    folder: PathBuf,
    address: String,
    program: Option<Program>,
}

impl Third {
    /// Set up for the two logs of a federation, and started, with its line of a policy. Where it is not installed, nothing is shown by
    /// this test, which therefore does not pass; `cargo xtask test` leaves it out then, and says so.
    fn start(scene: &Scene) -> (Self, String) {
        assert!(
            program().exists(),
            "aics-witness is not installed: it wants Python 3.12, and `cargo xtask test` found none in PATH"
        );
        let folder = scene.file("third");
        std::fs::create_dir_all(&folder).unwrap();
        let mut third = Self { folder, address: free_address(), program: None };
        let init = succeed(third.command("init").args(["--name", NAME, "--listen", &third.address]));
        let key = init.lines().find(|line| line.starts_with(&format!("{NAME}+"))).unwrap().to_owned();
        let root = Root::from_json(&std::fs::read(scene.app.identity.join("root.json")).unwrap()).unwrap();
        let statements = log::origin(&FEDERATION.parse().unwrap());
        let membership = Verifier::new(&statements, Kind::Note, &root.log_key).unwrap();
        let decisions = (root.decision_log_origin(), &root.decision_log[0]);
        for (origin, key) in [(statements, &membership), decisions] {
            let key = key.to_string();
            let _added = succeed(third.command("add-log").args(["--origin", &origin, "--vkey", &key]));
        }
        third.run();
        let seat = format!("witness {NAME} {key} http://{}\n", third.address);
        (third, seat)
    }

    fn command(&self, what: &str) -> Command {
        let mut command = Command::new(program());
        command.arg(what).arg("--config").arg(self.folder.join("witness.json"));
        command
    }

    fn run(&mut self) {
        let mut program = Program::start("third", &mut self.command("serve"), &self.folder);
        program.expect_log("WARN");
        wait::until("the third party's witness listens", || program.listens().then_some(()));
        self.program = Some(program);
    }

    /// What it last cosigned of each log.
    fn status(&self) -> String {
        succeed(&mut self.command("status"))
    }
}

fn program() -> PathBuf {
    tools().join("verifiers/bin/aics-witness")
}

#[test]
fn a_witness_that_we_did_not_write_has_a_seat_and_no_broker_goes_on_without_it() {
    let scene = Scene::without_policy();
    let (mut third, seat) = Third::start(&scene);
    let seats = scene.seats();
    let ours: Vec<_> = seats.lines().filter_map(|line| line.strip_prefix("witness ")?.split(' ').next()).collect();
    let groups = format!("group ours 2 {}\ngroup enough all ours {NAME}\nquorum enough\n", ours.join(" "));
    std::fs::write(scene.policy(), seats.clone() + &seat + &groups).unwrap();
    // It serves: that it found both logs in order, the third party's witness among those who say so.
    let mut scene = scene.with_its_policy();
    let receipt = std::fs::read_to_string(scene.cosigned(&scene.asked())).unwrap();
    assert!(receipt.contains(NAME), "{receipt}");
    let status = third.status();
    assert!(status.contains("/decisions/") && status.contains(NAME), "{status}");

    scene.federation.expect_log("witness");
    drop(third.program.take());
    let _asked = scene.asked();
    let broker = scene.federation.broker.as_ref().unwrap();
    wait::until("too few cosign", || broker.log().contains("too few witnesses cosign").then_some(()));
    third.run();
    let _cosigned = scene.cosigned(&scene.asked());
    drop(third);
}
