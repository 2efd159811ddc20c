//! Who gets in is said here a second time, as plainly as it can be, and compared for any two configurations and client.

use proptest::prelude::*;

use super::*;

const SUITES: [&str; 2] = ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"];

/// A configuration: as its file has it, and as it is meant.
#[derive(Clone, Debug)]
struct TestConfig {
    tls: bool,
    client_auth: &'static str,
    authorities: Vec<u8>,
    sans: Vec<u8>,
    versions: (u8, u8),
    suites: Vec<usize>,
    users: Vec<(u8, u8)>,
}

#[derive(Clone, Debug)]
struct Client {
    /// Who signed its certificate, and the name in it.
    certificate: Option<(u8, u8)>,
    version: u8,
    suite: usize,
    user: (u8, u8),
}

impl TestConfig {
    fn config(&self) -> ParsedWebConfig {
        let mut lines = Vec::new();
        if self.tls {
            lines.extend(["tls_server_config:", "  cert: C", "  key: K"].map(str::to_string));
            lines.push(format!("  client_auth_type: {}", self.client_auth));
            if self.verifies() {
                lines.push("  client_ca_file: ca.crt".to_string());
            }
            if !self.sans().is_empty() {
                lines.push(format!("  client_allowed_sans: {:?}", self.sans));
            }
            lines.push(format!("  min_version: TLS{}", self.versions.0));
            lines.push(format!("  max_version: TLS{}", self.versions.1));
            let suites: Vec<_> = self.suites.iter().map(|suite| SUITES[*suite]).collect();
            lines.push(format!("  cipher_suites: {suites:?}"));
        }
        lines.push("basic_auth_users:".to_string());
        // What counts is that hashes differ: nothing is checked against them.
        lines.extend(self.users.iter().map(|(name, password)| {
            format!("  u{name}: $2y$04$X{password}h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG")
        }));
        let text = lines.join("\n");
        ParsedWebConfig::parse(&text).unwrap_or_else(|error| panic!("{error} in:\n{text}"))
    }

    fn verifies(&self) -> bool {
        matches!(self.client_auth, "VerifyClientCertIfGiven" | "RequireAndVerifyClientCert")
    }

    fn is_mandatory(&self) -> bool {
        matches!(self.client_auth, "RequireAnyClientCert" | "RequireAndVerifyClientCert")
    }

    /// Other policies take no list of names.
    fn sans(&self) -> &[u8] {
        if self.is_mandatory() { &self.sans } else { &[] }
    }

    fn admits(&self, client: &Client) -> bool {
        let user = self.users.is_empty() || self.users.contains(&client.user);
        let suite = client.version == 13 || self.suites.is_empty() || self.suites.contains(&client.suite);
        let version = (self.versions.0..=self.versions.1).contains(&client.version);
        let certificate = match client.certificate {
            None => !self.is_mandatory(),
            Some((signer, name)) => {
                let known = !self.verifies() || self.authorities.contains(&signer);
                known && (self.sans().is_empty() || self.sans.contains(&name))
            }
        };
        user && (!self.tls || (suite && version && certificate))
    }

    /// The same with nobody in it who was not in the other.
    fn without_additions(&self, before: &Self) -> Self {
        let mut config = self.clone();
        let kept = |kind: &mut Vec<u8>, before: &[u8], all: bool| {
            if !all {
                kind.retain(|one| before.contains(one));
                // Nobody is not everybody.
                kind.push(u8::MAX);
            }
        };
        kept(&mut config.authorities, &before.authorities, !before.tls || !before.verifies());
        kept(&mut config.sans, &before.sans, before.sans().is_empty() || self.sans().is_empty());
        if !before.users.is_empty() && !config.users.is_empty() {
            config.users.retain(|user| before.users.contains(user));
            config.users.push((u8::MAX, u8::MAX));
        }
        config
    }
}

fn config() -> impl Strategy<Value = TestConfig> {
    let some = || prop::collection::btree_set(0..3u8, 0..3).prop_map(|set| set.into_iter().collect::<Vec<_>>());
    let policies = [
        "NoClientCert",
        "RequestClientCert",
        "RequireAnyClientCert",
        "VerifyClientCertIfGiven",
        "RequireAndVerifyClientCert",
    ];
    let users = prop::collection::btree_map(0..2u8, 0..2u8, 0..3).prop_map(|users| users.into_iter().collect());
    let suites = prop::collection::btree_set(0..2usize, 0..3).prop_map(|suites| suites.into_iter().collect());
    let versions = prop::sample::select(vec![(12, 12), (12, 13), (13, 13)]);
    (prop::bool::weighted(0.9), prop::sample::select(policies.to_vec()), some(), some(), versions, suites, users)
        .prop_map(|(tls, client_auth, authorities, sans, versions, suites, users)| TestConfig {
            tls,
            client_auth,
            authorities,
            sans,
            versions,
            suites,
            users,
        })
}

fn client() -> impl Strategy<Value = Client> {
    let version = prop::sample::select(vec![12, 13]);
    (prop::option::of((0..3u8, 0..3u8)), version, 0..2usize, (0..2u8, 0..2u8))
        .prop_map(|(certificate, version, suite, user)| Client { certificate, version, suite, user })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_reload_admits_a_client_that_was_refused(
        before in config(), after in config(), clients in prop::collection::vec(client(), 20)
    ) {
        if let Some(what) = between(&before.config(), &after.config()) {
            prop_assert!(!what.is_empty());
            return Ok(());
        }
        let after = after.without_additions(&before);
        for client in clients {
            prop_assert!(before.admits(&client) || !after.admits(&client), "{client:?}");
        }
    }

    /// A rule that refuses every change would hold the other one.
    #[test]
    fn what_only_adds_or_refuses_more_takes_no_restart(before in config(), more in config()) {
        prop_assert_eq!(between(&before.config(), &before.config()), None);
        let mut after = before.clone();
        after.users.extend(more.users);
        after.users.dedup_by_key(|user| user.0);
        after.users.sort_unstable();
        after.users.dedup_by_key(|user| user.0);
        after.client_auth = "RequireAndVerifyClientCert";
        after.tls = true;
        if before.tls {
            after.versions.0 = after.versions.1;
        }
        prop_assert_eq!(between(&before.config(), &after.config()), None);
    }
}
