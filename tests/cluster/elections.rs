//! Two operators, one of which acts: hand-overs, and what happens to requests under way meanwhile.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use provider_simulator::systems::oauth2::{CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN};
use provider_simulator::{
    Behaviour, Fault, Policy, Recorded, Refresh, Reuse, Rotation, Seed, System,
};

use crate::harness::{
    ADMIN, LOOPBACK, OPERATOR_NAMESPACE, Operator, PATIENCE, Passage, Proxy, World, oauth2_client,
    oauth2_provider, oauth2_token, service_account_kubeconfig, token,
};

/// A token lives for so many seconds, so that one is due every four.
const LIFE: i64 = 8;
/// For so long a request is under way, in milliseconds.
const UNDER_WAY: u64 = 1500;
const SLOW: Fault = Fault::Delay { milliseconds: UNDER_WAY };

/// The timings of every day, and shorter ones.
const USUAL: [&str; 6] = times("15", "10", "2");
const SHORT: [&str; 6] = times("10", "7", "1");

const fn times(
    duration: &'static str,
    deadline: &'static str,
    retry: &'static str,
) -> [&'static str; 6] {
    [
        "--leader-election-lease-duration",
        duration,
        "--leader-election-renew-deadline",
        deadline,
        "--leader-election-retry-period",
        retry,
    ]
}

/// What ends a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Sigterm,
    Kill,
    /// It lives on, without the API server.
    Cut,
}

/// One of two.
struct Candidate {
    operator: Operator,
    proxy: Proxy,
}

/// Two operators, each behind a network of its own.
struct Pair {
    world: World,
    kubeconfig: PathBuf,
    times: [&'static str; 6],
    started: usize,
}

impl Pair {
    async fn new(name: &str, times: [&'static str; 6]) -> Self {
        let world = World::new(name).await;
        world.grant_lease().await;
        let kubeconfig =
            service_account_kubeconfig(OPERATOR_NAMESPACE, "tokenward", world.folder());
        Self { world, kubeconfig, times, started: 0 }
    }

    /// One more, which stands by if another one leads.
    async fn candidate(&mut self) -> Candidate {
        self.started += 1;
        let folder = self.world.folder().join(self.started.to_string());
        std::fs::create_dir(&folder).unwrap();
        let proxy = Proxy::to_api_server(&self.kubeconfig).await;
        let kubeconfig = proxy.kubeconfig(&self.kubeconfig, &folder);
        let namespace = &*self.world.namespace;
        let election = ["--leader-elect", "--leader-election-namespace", namespace];
        let place = ["--namespace", namespace, "--cluster-resource-namespace", OPERATOR_NAMESPACE];
        let args = [&LOOPBACK[..], &ADMIN, &election, &place, &self.times].concat();
        let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
        let operator = Operator::start(&kubeconfig, folder.join("log"), &args);
        operator.wait_for_log("caches are filled").await;
        Candidate { operator, proxy }
    }

    async fn holder(&self) -> Option<String> {
        let api: Api<Lease> = Api::namespaced(self.world.client.clone(), &self.world.namespace);
        api.get("tokenward").await.unwrap().spec.unwrap().holder_identity
    }

    fn requests(&self) -> Vec<Recorded> {
        self.world.sim.requests_of(System::Oauth2)
    }

    fn set(&self, fault: Fault) {
        self.world.sim.set(System::Oauth2, Behaviour::living(LIFE).with(fault));
    }

    /// Waits until the last request is like this.
    async fn until_last(&self, is: impl Fn(&Recorded) -> bool) {
        let last = async {
            while !self.requests().last().is_some_and(&is) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, last).await.expect("no such request");
    }
}

impl Candidate {
    async fn until_leading(&self) {
        self.operator.wait_for_figure("tokenward_leader 1").await;
        self.operator.wait_for_gates((200, "[+] leader: leading\n")).await;
    }

    async fn stands_by(&self) {
        self.operator.wait_for_gates((200, "[+] leader: standby\n")).await;
        let (_, figures) = self.operator.admin("/metrics");
        assert!(figures.contains("\ntokenward_leader 0\n"), "{figures}");
        // The figures of tokens are the leader's.
        assert!(!figures.contains("tokenward_token_ready{"), "{figures}");
    }

    /// The requests that it made itself.
    fn requests(&self) -> usize {
        let (_, figures) = self.operator.admin("/metrics");
        let counts =
            figures.lines().filter(|line| line.starts_with("tokenward_token_requests_total"));
        counts.map(|line| line.rsplit_once(' ').unwrap().1.parse::<usize>().unwrap()).sum()
    }

    fn signal(&self, signal: &str) {
        let pid = self.operator.pid().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Ends it. Answers with what is left of it.
    async fn end(self, how: End) -> Option<Self> {
        match how {
            End::Sigterm => {
                let status = self.operator.terminate().await;
                assert_eq!(status.code(), Some(0));
                None
            }
            End::Kill => {
                self.operator.kill();
                None
            }
            End::Cut => {
                self.proxy.set(Passage::Silent);
                Some(self)
            }
        }
    }
}

/// Requests that began while another one was under way.
fn overlaps(requests: &[Recorded]) -> usize {
    let pairs = requests.windows(2);
    pairs.filter(|pair| pair[0].ended.is_none_or(|ended| pair[1].time < ended)).count()
}

/// What came of a hand-over.
#[derive(Debug)]
struct HandOver {
    /// From the end of the leader to the first request of the next one.
    took: TimeDelta,
    /// Requests that began while another one was under way.
    overlaps: usize,
    /// Requests whose answer was not waited for: the next leader made another one.
    repeats: usize,
}

/// Ends the leader while a request is under way, or while none is. The other one goes on.
async fn hand_over(pair: &mut Pair, how: End, is_under_way: bool) -> HandOver {
    let leader = pair.candidate().await;
    leader.until_leading().await;
    let standby = pair.candidate().await;
    let now = pair.requests().len();
    pair.world.until_requests(now + 1).await;
    standby.stands_by().await;
    let now = pair.requests().len();
    pair.world.until_requests(now + 1).await;
    match (how, is_under_way) {
        (End::Kill, true) => {
            // It is there to die with its leader, however late that is.
            pair.set(Fault::Hang);
            pair.until_last(|last| last.status.is_none() && last.ended.is_none()).await;
        }
        (_, true) => {}
        (_, false) => pair.until_last(|last| last.ended.is_some()).await,
    }
    let began = Utc::now();
    let deposed = leader.end(how).await;
    pair.set(SLOW);
    // It begins nothing any more: what comes next is the other one's.
    let of_former = pair.requests().len();
    let next = pair.world.until_requests_beyond(of_former).await;
    standby.until_leading().await;
    if let Some(deposed) = deposed {
        deposed.operator.wait_for_figure("tokenward_leader 0").await;
        deposed.proxy.set(Passage::Open);
        deposed.operator.wait_for_log("this process does not lead any more").await;
        pair.world.until_requests(of_former + 3).await;
        deposed.stands_by().await;
    }
    pair.world.until_requests(of_former + 3).await;
    let (_, data) = pair.world.secret("shop").await;
    assert!(pair.world.sim.is_active(&data["access_token"]), "whoever wrote it");
    assert_eq!(standby.operator.terminate().await.code(), Some(0));
    let requests = pair.requests();
    HandOver {
        took: next.time - began,
        overlaps: overlaps(&requests),
        repeats: requests.iter().filter(|request| request.abandoned).count(),
    }
}

/// One token, whose requests take their time.
async fn shop(name: &str, times: [&'static str; 6]) -> Pair {
    let pair = Pair::new(name, times).await;
    pair.set(SLOW);
    pair.world.apply_oauth2("shop", "");
    pair
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_asked_to_end_hands_over_when_what_it_began_has_ended() {
    let mut pair = shop("lead-term", SHORT).await;
    let HandOver { overlaps, repeats, .. } = hand_over(&mut pair, End::Sigterm, true).await;
    assert_eq!((overlaps, repeats), (0, 0));
    assert_eq!(pair.holder().await, None, "whoever ends gives the Lease back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_crashes_is_succeeded() {
    let mut pair = shop("lead-kill", SHORT).await;
    let HandOver { overlaps, repeats, .. } = hand_over(&mut pair, End::Kill, true).await;
    assert_eq!((overlaps, repeats), (0, 1), "the request that died with it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_without_the_api_server_is_succeeded_and_stands_by() {
    let mut pair = shop("lead-cut", SHORT).await;
    let HandOver { overlaps, repeats, .. } = hand_over(&mut pair, End::Cut, true).await;
    assert_eq!((overlaps, repeats), (0, 0), "an answer is waited for where there is time");
}

/// A provider that is asked without any Secret, so that the API server need not be there for it.
async fn secretless(name: &str) -> Pair {
    let pair = Pair::new(name, SHORT).await;
    pair.world.sim.set(System::Oauth2, Behaviour::living(LIFE));
    let parameters = format!(
        "{{grant_type: client_credentials, client_id: '{CLIENT_ID}', client_secret: '{CLIENT_SECRET}'}}"
    );
    pair.world.apply(&format!(
        r#"
apiVersion: tokenward.dev/v1alpha1
kind: OAuthProvider
metadata: {{name: p}}
spec:
  grant: none
  request: {{url: "http://$SIM/oauth2/token", method: POST, encoding: form, parameters: {parameters}}}
  response: {{token: [/access_token], expiry: {{kind: seconds, at: [/expires_in]}}}}
  limits: {{minInterval: 1s}}
"#
    ));
    pair.world.apply(&token("shop", "providerRef: {name: p}"));
    pair
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_without_the_api_server_asks_for_nothing_once_another_may_lead() {
    let mut pair = secretless("lead-alone").await;
    let leader = pair.candidate().await;
    leader.until_leading().await;
    pair.world.until_requests(2).await;
    let standby = pair.candidate().await;
    // It could go on: all that it cannot do is write.
    leader.proxy.set(Passage::Broken);
    let so_far = leader.requests();
    pair.world.until_requests(so_far + 1).await;
    leader.operator.wait_for_figure("tokenward_leader 0").await;
    let last = leader.requests();
    standby.until_leading().await;
    let (now, of_standby) = (pair.requests().len(), standby.requests());
    pair.world.until_requests(now + 3).await;
    assert!(standby.requests() >= of_standby + 2);
    assert_eq!(leader.requests(), last, "who does not lead asks for nothing");
    leader.proxy.set(Passage::Open);
    pair.world.until_requests(now + 5).await;
    assert_eq!(leader.requests(), last);
    assert_eq!(overlaps(&pair.requests()), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_stood_still_asks_for_nothing_when_it_goes_on() {
    let mut pair = secretless("lead-still").await;
    let leader = pair.candidate().await;
    leader.until_leading().await;
    let standby = pair.candidate().await;
    pair.world.until_requests(2).await;
    leader.signal("-STOP");
    // Whatever it had sent has been read by the time that this is answered.
    standby.stands_by().await;
    let of_leader = pair.requests().len();
    assert_eq!(standby.requests(), 0, "so all of them are the leader's");
    standby.until_leading().await;
    let now = pair.requests().len();
    pair.world.until_requests(now + 2).await;
    leader.signal("-CONT");
    leader.operator.wait_for_log("this process does not lead any more").await;
    pair.world.until_requests(now + 4).await;
    leader.stands_by().await;
    // One of the other's may be under way, and is counted when its answer is there.
    let are_told_apart = async {
        while pair.requests().len() - standby.requests() != of_leader {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let told_apart = tokio::time::timeout(PATIENCE, are_told_apart).await;
    assert!(told_apart.is_ok(), "who does not lead asks for nothing");
    assert_eq!(overlaps(&pair.requests()), 0);
}

/// The API server goes away between the provider's answer and the write, for longer than the leader
/// keeps its Lease.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_deposed_leader_was_given_is_kept_as_soon_as_it_can_be() {
    let mut pair = Pair::new("lead-given", SHORT).await;
    let world = &pair.world;
    let refresh = Refresh {
        seeds: vec![Seed::new(CLIENT_ID, REFRESH_TOKEN)],
        rotation: Rotation::EachUse { grace: 0, on_reuse: Reuse::RevokeFamily },
    };
    world.sim.set_policy(Policy::default().refreshing(refresh));
    let provider = oauth2_provider("p", "");
    world.apply(&provider.replace("preset: oauth2", "preset: oauth2-refresh-token"));
    world.apply(&oauth2_client("c"));
    world
        .patch("secret/c", &format!(r#"{{"stringData": {{"refresh_token": "{REFRESH_TOKEN}"}}}}"#));
    world.apply(&oauth2_token("shop"));
    let leader = pair.candidate().await;
    leader.until_leading().await;
    pair.world.until_ready("shop").await;
    let late = Fault::Delay { milliseconds: 2 * UNDER_WAY };
    pair.world.sim.set(System::Oauth2, Behaviour::failing(late));
    let annotation = "tokenward.dev/refresh-requested-at=now";
    pair.world.kubectl(&["annotate", "oct", "shop", annotation]);
    pair.world.until_requests(2).await;
    leader.proxy.set(Passage::Broken);
    leader.operator.wait_for_log("this process does not lead any more").await;
    let standby = pair.candidate().await;
    standby.until_leading().await;
    leader.proxy.set(Passage::Open);
    pair.world.sim.set(System::Oauth2, Behaviour::default());
    pair.world.force("shop", "by the next leader").await;
    let requests = pair.requests();
    let refused = requests.iter().filter(|request| request.refusal.is_some());
    assert_eq!(refused.count(), 0, "nothing that was used up was sent again");
    assert_eq!(overlaps(&requests), 0);
}

/// The figures of `docs/high-availability.md`: `cargo test --test cluster ten_hand_overs_of_each_kind
/// -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "five minutes"]
async fn ten_hand_overs_of_each_kind() {
    println!(
        "| the leader | runs | until the next refresh: least | median | most | overlaps | repeats |"
    );
    println!("|---|---|---|---|---|---|---|");
    for how in [End::Sigterm, End::Kill, End::Cut] {
        // Each round has a world of its own; all of one kind at once.
        let rounds = (0..10).map(|round| async move {
            let mut pair = shop("hand-over", USUAL).await;
            hand_over(&mut pair, how, round % 2 == 0).await
        });
        let mut rounds = futures::future::join_all(rounds).await;
        rounds.sort_by_key(|round| round.took);
        let seconds = |took: TimeDelta| format!("{:.1} s", took.as_seconds_f64());
        let (least, median, most) = (rounds[0].took, rounds[5].took, rounds[9].took);
        let overlaps: usize = rounds.iter().map(|round| round.overlaps).sum();
        let repeats: usize = rounds.iter().map(|round| round.repeats).sum();
        println!(
            "| {how:?} | {} | {} | {} | {} | {overlaps} | {repeats} |",
            rounds.len(),
            seconds(least),
            seconds(median),
            seconds(most)
        );
        assert_eq!(overlaps, 0);
    }
}
