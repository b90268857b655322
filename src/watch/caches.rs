//! The caches behind a cluster's snapshots, and the watches that fill them.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use futures::stream::StreamExt;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store, store};
use kube::runtime::watcher::{Event, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use tokio::sync::oneshot;
use tracing::warn;

use super::assemble::Resolved;
use super::endpoints::{Endpoints, Version};
use super::keeper::{Keeper, Shelving};
use super::name::Name;
use super::policy::ProviderPolicy;
use super::prune::prune;
use super::reactions::{Change, Listener, Outlet};
use super::relist::{closed, merge};
use super::streams::{Lists, Watched, config, events};
use super::{SecretIndex, Shelf, Trigger, Triggers};
use crate::api::{
    ClusterOAuthClientToken, ClusterOAuthProvider, OAuthClientToken, OAuthProvider, ProviderKind,
};
use crate::decide::{
    Applicant, CredentialsSource, Parent, Rivals, SecretKey, admit, own_credentials, parents,
};
use crate::error::{Class, Error, Reason, nearest};
use crate::oauth::Endpoint;

/// Which namespaces a watch covers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Every one.
    All,
    /// One.
    Namespace(String),
}

impl Scope {
    /// Whether it covers a namespace.
    pub fn contains(&self, namespace: &str) -> bool {
        match self {
            Self::All => true,
            Self::Namespace(own) => own == namespace,
        }
    }

    fn api<K>(&self, client: Client) -> Api<K>
    where
        K: Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        match self {
            Self::All => Api::all(client),
            Self::Namespace(namespace) => Api::namespaced(client, namespace),
        }
    }
}

/// What is watched.
#[derive(Clone, Debug)]
pub struct WatchSettings {
    /// Where tokens and namespaced providers are.
    pub scopes: Vec<Scope>,
    /// Whether cluster kinds are looked at.
    pub cluster_kinds: bool,
    /// Where the platform's credentials lie.
    pub cluster_resource_namespace: String,
    /// What a namespace's own providers may be.
    pub providers: ProviderPolicy,
    /// How all that is there is learnt.
    pub lists: Lists,
}

/// A provider's endpoint and the credentials that it is asked with.
type Provided = (Arc<Endpoint>, Option<CredentialsSource>);

/// What a change of one kind sets off.
type Reaction<K> = fn(&Caches, &Change<'_, K>, &Outlet);

/// The caches.
pub struct Caches {
    pub(super) settings: WatchSettings,
    tokens: Shelf,
    providers: Store<OAuthProvider>,
    cluster_providers: Store<ClusterOAuthProvider>,
    pub(super) cluster_tokens: Store<ClusterOAuthClientToken>,
    pub(super) namespaces: Store<PartialObjectMeta<Namespace>>,
    /// Whether `namespaces` ever held all of them: a store counts as filled, too, where the list
    /// was refused.
    pub(super) namespaces_listed: AtomicBool,
    /// Secrets that tokens refer to.
    pub secrets: Arc<SecretIndex>,
    endpoints: Endpoints,
    /// Whether any token was ever made from another.
    pub(super) chained: AtomicBool,
}

impl Caches {
    /// Starts the watches and waits until every cache is filled. What is to be looked at again is
    /// told to `triggers`.
    pub async fn start(
        client: &Client,
        settings: WatchSettings,
        triggers: Triggers,
        listener: Arc<dyn Listener>,
    ) -> Arc<Self> {
        let (providers, provider_writer) = store();
        let (cluster_providers, cluster_writer) = store();
        let (cluster_tokens, cluster_token_writer) = store();
        let (namespaces, namespace_writer) = store();
        let caches = Arc::new(Self {
            endpoints: Endpoints::under(settings.providers.clone()),
            settings,
            tokens: Shelf::default(),
            providers,
            cluster_providers,
            cluster_tokens,
            namespaces,
            namespaces_listed: AtomicBool::new(false),
            secrets: Arc::default(),
            chained: AtomicBool::new(false),
        });
        let outlet = Outlet { triggers, listener };
        let WatchSettings { scopes, lists, .. } = &caches.settings;
        let lists = *lists;
        let token_watches = scopes.iter().map(|s| events(s.api(client.clone()), lists)).collect();
        let provider_watches =
            scopes.iter().map(|s| events(s.api(client.clone()), lists)).collect();
        let shelf = Shelving::on(caches.tokens.clone(), Arc::clone(&outlet.listener));
        caches.spawn(token_watches, shelf, (&outlet, Self::on_token));
        caches.spawn(provider_watches, provider_writer, (&outlet, Self::on_provider));
        caches.tokens.filled().await;
        wait_for(&caches.providers).await;
        if caches.settings.cluster_kinds {
            let writers = (cluster_writer, namespace_writer, cluster_token_writer);
            caches.fill_cluster_kinds(client, writers, &outlet).await;
        }
        caches.refer_all();
        caches.watch_secrets(client, &outlet).await;
        caches
    }

    /// Has every token looked at.
    pub fn send_all(&self, triggers: &Triggers) {
        for token in self.tokens.each() {
            triggers.send(Trigger::of(&token));
        }
        for token in in_order(self.cluster_tokens.state()) {
            triggers.send_both(&token);
        }
    }

    async fn fill_cluster_kinds(
        self: &Arc<Self>,
        client: &Client,
        (providers, namespaces, tokens): (
            Writer<ClusterOAuthProvider>,
            Writer<PartialObjectMeta<Namespace>>,
            Writer<ClusterOAuthClientToken>,
        ),
        outlet: &Outlet,
    ) {
        let lists = self.settings.lists;
        self.spawn(
            vec![events(Api::all(client.clone()), lists)],
            providers,
            (outlet, Self::on_cluster_provider),
        );
        self.spawn(
            vec![self.hear_of_list(events(Api::all(client.clone()), lists), outlet)],
            namespaces,
            (outlet, Self::on_namespace),
        );
        self.spawn(
            vec![events(Api::all(client.clone()), lists)],
            tokens,
            (outlet, Self::on_cluster_token),
        );
        wait_for(&self.cluster_providers).await;
        wait_for(&self.namespaces).await;
        wait_for(&self.cluster_tokens).await;
    }

    /// Only once all is known that refers to Secrets, it is known which of them matter, so that
    /// one list finds all of them. Copies say themselves whose they are.
    fn refer_all(&self) {
        for token in self.tokens.each() {
            self.secrets.refer(&Trigger::of(&token), self.secrets_of(&token));
        }
        for token in self.cluster_tokens.state() {
            let grant = Trigger::grant_of(&token);
            self.secrets.refer(&grant, self.secrets_of_grant(&token));
        }
    }

    /// The tokens.
    pub fn tokens(&self) -> &Shelf {
        &self.tokens
    }

    /// The namespaced providers.
    pub fn providers(&self) -> &Store<OAuthProvider> {
        &self.providers
    }

    /// The cluster providers.
    pub fn cluster_providers(&self) -> &Store<ClusterOAuthProvider> {
        &self.cluster_providers
    }

    /// Compiled documents.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// A token's provider and credentials, or why it may not or cannot use them.
    pub fn resolve(&self, token: &OAuthClientToken) -> Result<Resolved, Error> {
        let (endpoint, credentials) = self.provider(token)?;
        let namespace = token.namespace().unwrap_or_default();
        let provider = token.spec.provider_ref.full_name(&namespace);
        Ok(Resolved { provider, endpoint, credentials, parents: self.parents(token)? })
    }

    fn parents(&self, token: &OAuthClientToken) -> Result<Vec<Parent>, Error> {
        let namespace = token.namespace().unwrap_or_default();
        parents(token, |name| self.token(&namespace, name))
    }

    /// One of them.
    pub fn token(&self, namespace: &str, name: &str) -> Option<Arc<OAuthClientToken>> {
        self.tokens.get(namespace, name)
    }

    /// The other tokens that want the same target: which of them wins must not depend on who is
    /// looked at first.
    pub fn rivals(&self, token: &OAuthClientToken) -> Rivals {
        let age = |token: &OAuthClientToken| {
            (token.metadata.creation_timestamp.as_ref().map(|time| time.0), token.name_any())
        };
        let (target, own) = (target_of(token), age(token));
        let mut rivals = Rivals::default();
        for user in self.secrets.users(&target) {
            let Trigger::Token { namespace, name } = &user else { continue };
            if **name == *own.1 {
                continue;
            }
            let Some(other) = self.token(namespace, name) else { continue };
            let wants = other.metadata.deletion_timestamp.is_none() && target_of(&other) == target;
            match age(&other).cmp(&own) {
                Ordering::Less if wants => rivals.earlier.push(other.name_any()),
                Ordering::Greater if wants => rivals.later.push(other.name_any()),
                _ => {}
            }
        }
        rivals
    }

    fn provider(&self, token: &OAuthClientToken) -> Result<Provided, Error> {
        let namespace = token.namespace().unwrap_or_default();
        let reference = &token.spec.provider_ref;
        match reference.kind {
            ProviderKind::OAuthProvider => {
                let key = ObjectRef::new(&reference.name).within(&namespace);
                let provider = self
                    .providers
                    .get(&key)
                    .ok_or_else(|| self.not_found(&namespace, &reference.name))?;
                let endpoint = self
                    .endpoints
                    .get(&Version::of(&*provider, reference.kind), &provider.spec.document)?;
                Ok((endpoint, own_credentials(&token.spec, &namespace)))
            }
            ProviderKind::ClusterOAuthProvider if !self.settings.cluster_kinds => Err(Error::new(
                Reason::ClusterKindsDisabled,
                "this tokenward works on named namespaces only: use an OAuthProvider, or start it with --cluster-kinds",
            )),
            ProviderKind::ClusterOAuthProvider => {
                let provider = self.cluster_provider(&reference.name)?;
                let labels = self.labels(&namespace)?;
                let applicant =
                    Applicant { token: &token.spec, namespace: &namespace, labels: &labels };
                let credentials =
                    admit(&provider.spec, applicant, &self.settings.cluster_resource_namespace)?;
                Ok((self.cluster_endpoint(&provider)?, credentials))
            }
        }
    }

    pub(super) fn cluster_endpoint(
        &self,
        provider: &ClusterOAuthProvider,
    ) -> Result<Arc<Endpoint>, Error> {
        let version = Version::of(provider, ProviderKind::ClusterOAuthProvider);
        self.endpoints.get(&version, &provider.spec.document)
    }

    fn not_found(&self, namespace: &str, name: &str) -> Error {
        let others: Vec<String> = self
            .providers
            .state()
            .iter()
            .filter(|provider| provider.namespace().as_deref() == Some(namespace))
            .map(|provider| provider.name_any())
            .collect();
        let hint = nearest(name, others.iter().map(String::as_str));
        let message =
            format!("OAuthProvider {name:?} does not exist in namespace {namespace:?}{hint}");
        Error::new(Reason::ProviderNotFound, message)
    }

    /// A namespace that is not known yet has no labels to judge by: a selector that asks for the
    /// absence of one must not take it in.
    fn labels(&self, namespace: &str) -> Result<BTreeMap<String, String>, Error> {
        let found = self.namespaces.get(&ObjectRef::new(namespace));
        found.map(|found| found.labels().clone()).ok_or_else(|| {
            let message = format!("namespace {namespace:?} has not been seen yet");
            Error::new(Reason::NamespaceNotAdmitted, message).with_class(Class::Waiting)
        })
    }

    /// The Secrets that a token refers to.
    pub fn secrets_of(&self, token: &OAuthClientToken) -> Vec<SecretKey> {
        let namespace = token.namespace().unwrap_or_default();
        let target = target_of(token);
        let credentials = self.provider(token).map(|(_, credentials)| credentials);
        // While the provider is amiss, changes of the token's own credentials still matter.
        let credentials = credentials.unwrap_or_else(|_| own_credentials(&token.spec, &namespace));
        let credentials = credentials.map(|credentials| credentials.secret);
        // The targets of the tokens that it is made from tell when those are there.
        let parents = self.parents(token).unwrap_or_default().into_iter();
        std::iter::once(target).chain(credentials).chain(parents.map(|p| p.target)).collect()
    }

    fn spawn<K>(
        self: &Arc<Self>,
        watches: Vec<Watched<K>>,
        mut keeper: impl Keeper<K>,
        (outlet, react): (&Outlet, Reaction<K>),
    ) where
        K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
    {
        let (caches, outlet, find) = (Arc::clone(self), outlet.clone(), keeper.reader());
        tokio::spawn(async move {
            let mut events = Box::pin(merge(watches, find.clone()));
            while let Some(event) = events.next().await {
                let mut event = match event {
                    Ok(event) => event,
                    Err(error) => {
                        warn!(kind = %K::kind(&()), %error, "a watch broke and is made again");
                        continue;
                    }
                };
                let before = match &mut event {
                    Event::Apply(object) | Event::InitApply(object) => {
                        prune(object);
                        find(&Name::of(object))
                    }
                    _ => None,
                };
                keeper.take(&mut event);
                match &event {
                    Event::Apply(object) => {
                        react(&caches, &Change::Set { before, now: object }, &outlet);
                    }
                    Event::Delete(object) => react(&caches, &Change::Gone(object), &outlet),
                    Event::Init | Event::InitApply(_) | Event::InitDone => {}
                }
            }
        });
    }

    async fn watch_secrets(self: &Arc<Self>, client: &Client, outlet: &Outlet) {
        let platform = Scope::Namespace(self.settings.cluster_resource_namespace.clone());
        let mut scopes = self.settings.scopes.clone();
        let covered = scopes.iter().any(|s| s.contains(&self.settings.cluster_resource_namespace));
        if self.settings.cluster_kinds && !covered {
            scopes.push(platform);
        }
        let listed = scopes.into_iter().map(|scope| {
            let (done, listed) = oneshot::channel();
            self.spawn_secrets(client, scope, (outlet.clone(), done));
            listed
        });
        futures::future::join_all(listed).await;
    }

    fn spawn_secrets(
        self: &Arc<Self>,
        client: &Client,
        scope: Scope,
        (outlet, listed): (Outlet, oneshot::Sender<()>),
    ) {
        let (secrets, lists) = (Arc::clone(&self.secrets), self.settings.lists);
        let api: Api<PartialObjectMeta<Secret>> = scope.api(client.clone());
        tokio::spawn(async move {
            let mut listed = Some(listed);
            let mut events = watcher(api, config(lists)).default_backoff().boxed();
            while let Some(event) = events.next().await {
                match event {
                    Ok(event) => {
                        let done = matches!(event, Event::InitDone);
                        for token in secrets.observe(&scope, event) {
                            outlet.triggers.look_again(token);
                        }
                        if let Some(listed) = listed.take_if(|_| done) {
                            // Nobody waits any more where start-up was abandoned.
                            let _ = listed.send(());
                        }
                    }
                    Err(error) => {
                        warn!(kind = "Secret", %error, "a watch broke and is made again");
                        // A scope that cannot be listed keeps no other from its work.
                        if let Some(listed) = listed.take_if(|_| closed(&error)) {
                            let _ = listed.send(());
                        }
                    }
                }
            }
        });
    }
}

/// In the order of names: that of a cache is another one in each process.
pub(crate) fn in_order<K: Resource<DynamicType = ()>>(
    some: impl IntoIterator<Item = Arc<K>>,
) -> Vec<Arc<K>> {
    let mut some: Vec<Arc<K>> = some.into_iter().collect();
    some.sort_by(|a, b| {
        let (a, b) = (a.meta(), b.meta());
        (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name))
    });
    some
}

/// The Secret that a token wants as its target.
pub(super) fn target_of(token: &OAuthClientToken) -> SecretKey {
    let namespace = token.namespace().unwrap_or_default();
    SecretKey { namespace, name: token.secret_name().to_owned() }
}

async fn wait_for<K>(store: &Store<K>)
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    // The writer lives as long as the process.
    let _ = store.wait_until_ready().await;
}
