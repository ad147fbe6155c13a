//! Malformed plans, and what their author gets to read.

use viewstorm::plan::Plan;

/// A plan with everything right but what follows.
fn refuse(text: &str) -> String {
    match Plan::parse("plan.toml", text, &[]) {
        Ok(plan) => panic!("this is accepted:\n{text}\n{plan:?}"),
        Err(errors) => errors.render(false),
    }
}

/// One snapshot per malformed plan, named by what is wrong with it.
macro_rules! refused {
    ($($name:ident: $text:expr,)*) => {
        $(#[test]
        fn $name() {
            insta::assert_snapshot!(refuse($text));
        })*
    };
}

refused! {
    a_name_is_missing: "[world]\nkind = \"processes\"\n",
    a_name_is_no_folder: "name = \"VR / partitions\"\n",
    a_name_is_no_string: "name = 7\n",
    an_unknown_key_at_the_top: "name = \"x\"\ndescripton = \"a slip\"\n",
    an_unknown_table: "name = \"x\"\n[clutser]\nreplicas = 3\n",
    an_unknown_key_in_a_table: "name = \"x\"\n[cluster]\nreplica = 3\n",
    a_key_with_underscores: "name = \"x\"\n[cluster]\nfence_incarnations = true\n",
    a_key_of_another_table: "name = \"x\"\n[cluster]\nrate = 1500\n",
    an_unknown_key_in_an_inner_table: "name = \"x\"\n[workload]\nmix = { reads = 1, write = 1 }\n",
    nonsense: "name = \"x\"\nxyzzy = 1\n",
    a_table_is_a_value: "name = \"x\"\nworld = \"simulated\"\n",
    a_value_is_a_table: "name = \"x\"\n[cluster.replicas]\nn = 3\n",
    a_string_for_a_number: "name = \"x\"\n[cluster]\nreplicas = \"three\"\n",
    a_decimal_for_a_whole_number: "name = \"x\"\n[cluster]\nreplicas = 3.5\n",
    no_replicas: "name = \"x\"\n[cluster]\nreplicas = 0\n",
    minus_one_replica: "name = \"x\"\n[cluster]\nreplicas = -1\n",
    a_million_replicas: "name = \"x\"\n[cluster]\nreplicas = 1_000_000\n",
    ports_end: "name = \"x\"\n[cluster]\nreplicas = 5\nbase-port = 65532\n",
    an_unknown_name: "name = \"x\"\n[world]\nkind = \"simulate\"\n[model]\nnetwork = \"fairloss\"\n[cluster]\nprotocol = \"paxos\"\n",
    a_duration_without_a_unit: "name = \"x\"\n[run]\nduration = 30\nquiesce = \"5\"\n",
    a_duration_of_nonsense: "name = \"x\"\n[run]\nduration = \"half an hour\"\nquiesce = \"-1s\"\nwarmup = \"3 sec\"\n",
    a_run_of_no_time: "name = \"x\"\n[run]\nduration = \"0s\"\n",
    a_warmup_that_never_ends: "name = \"x\"\n[run]\nwarmup = \"10s\"\nduration = \"8s\"\n",
    a_negative_seed: "name = \"x\"\n[run]\nseed = -4\n",
    no_rate: "name = \"x\"\n[workload]\nrate = 0\n",
    an_infinite_rate: "name = \"x\"\n[workload]\nrate = inf\n",
    an_open_and_a_closed_loop: "name = \"x\"\n[workload]\nrate = 100\nclosed-loop = true\n",
    an_open_loop_without_a_rate: "name = \"x\"\n[workload]\nclosed-loop = false\n",
    a_mix_of_nothing: "name = \"x\"\n[workload]\nmix = { read = 0, write = 0 }\n",
    more_endpoints_than_clients: "name = \"x\"\n[workload]\nclients = 2\nendpoints = 4\n",
    a_suspicion_before_the_heartbeat: "name = \"x\"\n[cluster]\ntimeouts = { heartbeat = \"100ms\", suspicion = \"50ms\" }\n",
    an_unknown_check: "name = \"x\"\n[check]\nchecks = [\"linearisability\", \"durability\", \"durability\"]\n",
    no_checks: "name = \"x\"\n[check]\nchecks = []\n",
    a_share_above_one: "name = \"x\"\n[check.bounds]\navailability = 99.9\n",
    a_property_that_is_not_checked: "name = \"x\"\n[check]\nchecks = [\"durability\"]\n[expect]\nverdict = \"invalid\"\nproperty = \"linearizability\"\n",
    a_property_of_a_valid_run: "name = \"x\"\n[expect]\nverdict = \"valid\"\nproperty = \"linearizability\"\n",
    a_key_twice: "name = \"x\"\n[cluster]\nreplicas = 3\nreplicas = 5\n",
    a_table_twice: "name = \"x\"\n[run]\nseed = 1\n[cluster]\n[run]\nduration = \"3s\"\n",
    a_string_that_does_not_end: "name = \"x\n[cluster]\nreplicas = 3\n",
    no_toml_and_a_mistake_besides: "name = \"x\"\n[cluster\nreplicas = = 3\n[run]\nduration = 30\n",
    empty: "",
    blank: "\n  \n",
    many_at_once: "nam = \"x\"\n[wrld]\n[cluster]\nreplicas = 0\nprotocol = \"vrr\"\n[workload]\nrate = -1\n[run]\nduration = \"soon\"\n",
}

#[test]
fn not_utf8() {
    let errors = Plan::parse_bytes("plan.toml", b"name = \"x\"\n# caf\xe9\n").unwrap_err();
    insta::assert_snapshot!(errors);
}

#[test]
fn a_missing_file_is_named() {
    let errors = Plan::load("experiments/no-such.toml").unwrap_err();
    insta::assert_snapshot!(errors);
}

#[test]
fn a_directory_is_no_plan() {
    let directory = tempfile::tempdir().unwrap();
    let errors = Plan::load(directory.path()).unwrap_err().to_string();
    assert!(
        errors.contains(&directory.path().display().to_string()),
        "{errors}"
    );
    assert!(errors.contains("is a directory"), "{errors}");
}

#[test]
fn colour_is_for_terminals() {
    let errors = Plan::parse("plan.toml", "nam = 1", &[]).unwrap_err();
    assert!(!errors.render(false).contains('\u{1b}'));
    assert!(errors.render(true).contains('\u{1b}'));
}
