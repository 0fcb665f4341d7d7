//! When a rule is asked for: one function for each condition in the catalogue. The result depends on the values of the settings, and never
//! on the name of a profile.

use crate::dialect::{CertificateForm, Dialect, FormRule, HeaderMember, ScopesFrom};
use crate::profile::{InteractionId, ManagementToken, PRIVATE_KEY_JWT, RequestBody, SubjectMember, TLS_CLIENT_AUTH};
use crate::settings::Settings;

/// Whether the settings ask for a rule. The error says why not.
pub type Asked = fn(&Settings) -> Result<(), Absence>;

/// Why a request cannot break a rule under some settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// No value of the settings asks for the rule.
    NotAsked(&'static str),
    /// The ecosystem does not have the thing that the rule checks, or each request that breaks this rule breaks another one first.
    NothingToBreak(&'static str),
    /// The settings allow more than the standards do. The gateway warns of this at start.
    Danger(&'static str),
}

impl Absence {
    /// The reason in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::NotAsked(words) | Self::NothingToBreak(words) | Self::Danger(words) => words,
        }
    }
}

use Absence::{Danger, NotAsked, NothingToBreak};

pub(super) fn always(_: &Settings) -> Result<(), Absence> {
    Ok(())
}

pub(super) fn interaction_id(settings: &Settings) -> Result<(), Absence> {
    let is_asked = settings.profile.answers.interaction_id == InteractionId::Require;
    unless(is_asked, NotAsked("requests need no interaction id"))
}

pub(super) fn signed_requests(settings: &Settings) -> Result<(), Absence> {
    unless(is_signed(settings), NothingToBreak("requests are JSON objects without a signature, dates or ids (RQ-06)"))
}

pub(super) fn typ_required(settings: &Settings) -> Result<(), Absence> {
    let of_requests = settings.profile.required_header.contains(&HeaderMember::Typ);
    let is_asked = of_requests || some(settings, |dialect| dialect.required_header.contains(&HeaderMember::Typ));
    unless(is_asked, NotAsked("typ may be left out"))
}

pub(super) fn whole_dates(settings: &Settings) -> Result<(), Absence> {
    unless(!settings.profile.fractional_dates, NotAsked("dates may have a fraction"))
}

pub(super) fn first_attribute(settings: &Settings) -> Result<(), Absence> {
    tls_client_auth(settings)?;
    let is_asked = settings.profile.client_metadata.subject_dn_first_attribute.is_some();
    unless(is_asked, NotAsked("a subject may begin with any attribute"))
}

pub(super) fn implicit_needed(settings: &Settings) -> Result<(), Absence> {
    let rules = &settings.profile.client_metadata;
    let has_id_token = rules.response_types.iter().any(|types| types.split(' ').any(|word| word == "id_token"));
    unless(rules.id_token_needs_implicit && has_id_token, NotAsked("an ID token does not need the grant type implicit"))
}

pub(super) fn keys_by_value(settings: &Settings) -> Result<(), Absence> {
    let is_asked = some(settings, |dialect| dialect.claims.key_set.is_some());
    unless(is_asked, NotAsked("statements name the URL of a key set"))
}

pub(super) fn webhooks(settings: &Settings) -> Result<(), Absence> {
    let is_asked = some(settings, |dialect| dialect.claims.webhook_uris.is_some());
    unless(is_asked, NotAsked("statements list no URIs for notifications"))
}

pub(super) fn subject_types(settings: &Settings) -> Result<(), Absence> {
    let is_asked = settings.profile.client_metadata.further_members.iter().any(|member| member == "subject_type");
    unless(is_asked, NotAsked("subject_type is not registered"))
}

pub(super) fn certificate_issuers(settings: &Settings) -> Result<(), Absence> {
    let is_asked = settings.directories.iter().any(|directory| !directory.certificate_issuers.is_empty());
    unless(is_asked, NotAsked("no directory lists its certification authorities"))
}

pub(super) fn one_audience(settings: &Settings) -> Result<(), Absence> {
    private_key_jwt(settings)?;
    unless(!settings.profile.client_assertion.audience_arrays, NotAsked("aud may be an array"))
}

pub(super) fn unsigned_requests(settings: &Settings) -> Result<(), Absence> {
    unless(!is_signed(settings), NotAsked("requests are signed"))
}

pub(super) fn max_age(settings: &Settings) -> Result<(), Absence> {
    unless(some(settings, |dialect| dialect.max_age.is_some()), NotAsked("statements have no greatest age"))
}

pub(super) fn single_use(settings: &Settings) -> Result<(), Absence> {
    unless(some(settings, |dialect| dialect.single_use), NotAsked("a statement may be used again"))
}

pub(super) fn organisation_status(settings: &Settings) -> Result<(), Absence> {
    let is_asked = some(settings, |dialect| dialect.claims.organisation_status.is_some());
    unless(is_asked, NotAsked("statements do not carry the organisation's status"))
}

pub(super) fn authority_claims(settings: &Settings) -> Result<(), Absence> {
    let is_asked = some(settings, |dialect| dialect.claims.authority_claims.is_some());
    unless(is_asked, NotAsked("statements do not carry the competent authority's claims"))
}

pub(super) fn modes(settings: &Settings) -> Result<(), Absence> {
    unless(some(settings, |dialect| dialect.modes.is_some()), NotAsked("software of any mode is taken"))
}

pub(super) fn revoked_keys(settings: &Settings) -> Result<(), Absence> {
    unless(some(settings, |dialect| dialect.refuse_revoked_keys), NotAsked("revoked keys are not looked up"))
}

pub(super) fn uris_on_redirect_hosts(settings: &Settings) -> Result<(), Absence> {
    let is_asked = some(settings, |dialect| dialect.uris_on_redirect_hosts);
    unless(is_asked, NotAsked("the URIs that people see may be on any host"))
}

pub(super) fn scopes_that_can_lack(settings: &Settings) -> Result<(), Absence> {
    let can_lack =
        |dialect: &Dialect| dialect.universal_scopes.is_empty() || dialect.scopes_from == ScopesFrom::Statement;
    unless(some(settings, can_lack), NothingToBreak("there are scopes that any software may have"))
}

pub(super) fn redirect_uris_of_statement(settings: &Settings) -> Result<(), Absence> {
    let is_asked = !settings.profile.client_metadata.danger_redirect_uris_beyond_statement;
    unless(is_asked, Danger("redirect URIs beyond the statement are registered"))
}

pub(super) fn single_registration(settings: &Settings) -> Result<(), Absence> {
    unless(settings.profile.registration.single_registration, NotAsked("a software may be registered several times"))
}

pub(super) fn tls_client_auth(settings: &Settings) -> Result<(), Absence> {
    unless(allows(settings, TLS_CLIENT_AUTH), NothingToBreak("no client authenticates by tls_client_auth"))
}

pub(super) fn private_key_jwt(settings: &Settings) -> Result<(), Absence> {
    unless(allows(settings, PRIVATE_KEY_JWT), NothingToBreak("no client authenticates by private_key_jwt"))
}

pub(super) fn several_algorithms(settings: &Settings) -> Result<(), Absence> {
    private_key_jwt(settings)?;
    let several = settings.profile.signing_algorithms.len() > 1;
    unless(several, NothingToBreak("there is one signing algorithm only"))
}

pub(super) fn refused_subject_members(settings: &Settings) -> Result<(), Absence> {
    tls_client_auth(settings)?;
    let takes = |member| settings.profile.client_metadata.subject_members.contains(member);
    unless(!SubjectMember::ALL.iter().all(takes), NothingToBreak("every name of a certificate is taken"))
}

pub(super) fn form_cb_04(settings: &Settings) -> Result<(), Absence> {
    form(settings, FormRule::Cb04)
}

pub(super) fn form_cb_05(settings: &Settings) -> Result<(), Absence> {
    form(settings, FormRule::Cb05)
}

pub(super) fn form_cb_08(settings: &Settings) -> Result<(), Absence> {
    form(settings, FormRule::Cb08)
}

pub(super) fn form_cb_09(settings: &Settings) -> Result<(), Absence> {
    form(settings, FormRule::Cb09)
}

pub(super) fn dates_of_cb_04(settings: &Settings) -> Result<(), Absence> {
    dates(settings, |forms| forms.iter().any(|form| form.rule == FormRule::Cb04))
}

pub(super) fn dates_of_cb_05(settings: &Settings) -> Result<(), Absence> {
    dates(settings, |forms| forms.iter().any(|form| form.rule == FormRule::Cb05))
}

pub(super) fn dates_of_other_forms(settings: &Settings) -> Result<(), Absence> {
    let is_other = |form: &CertificateForm| !matches!(form.rule, FormRule::Cb04 | FormRule::Cb05);
    dates(settings, |forms| forms.is_empty() || forms.iter().any(is_other))
}

pub(super) fn psd2_roles(settings: &Settings) -> Result<(), Absence> {
    unless(some(settings, |dialect| dialect.certificate_psd2_roles), NotAsked("certificates need not grant roles"))?;
    let has_roles =
        some(settings, |dialect| dialect.certificate_psd2_roles && dialect.psd2_roles.values().next().is_some());
    unless(has_roles, NothingToBreak("PSD2 does not know the ecosystem's roles, so no certificate has to grant one"))
}

pub(super) fn certificate_in_key_set(settings: &Settings) -> Result<(), Absence> {
    let is_asked = some(settings, |dialect| dialect.certificate_in_key_set);
    unless(is_asked, NotAsked("certificates need not stand in the key set"))
}

pub(super) fn bound_certificates(settings: &Settings) -> Result<(), Absence> {
    tls_client_auth(settings)?;
    binding_certificates(settings)
}

pub(super) fn bound_assertions(settings: &Settings) -> Result<(), Absence> {
    private_key_jwt(settings)?;
    binding_certificates(settings)
}

pub(super) fn certificates_that_can_differ(settings: &Settings) -> Result<(), Absence> {
    let by_registration_token = !is_managed_by_access_token(settings);
    let can_differ = some(settings, Dialect::binds_certificates) && by_registration_token;
    unless(can_differ, NothingToBreak("an access token is bound to a certificate that was the client's at its issue"))
}

pub(super) fn software_that_can_change(settings: &Settings) -> Result<(), Absence> {
    let why = "the certificate names the software: a statement of another software breaks that rule first";
    unless(!settings.directories.iter().all(|directory| directory.dialect.names_software()), NothingToBreak(why))
}

pub(super) fn subject_changes(settings: &Settings) -> Result<(), Absence> {
    let is_asked = settings.profile.client_metadata.subject_changes_over_old_certificate;
    unless(is_asked, NotAsked("any certificate of the client manages its registration"))
}

pub(super) fn management_scope(settings: &Settings) -> Result<(), Absence> {
    let is_asked = settings.profile.access_token.management_scope.is_some();
    unless(is_asked, NothingToBreak("every token of the client manages its registration"))
}

pub(super) fn management_by_access_token(settings: &Settings) -> Result<(), Absence> {
    let why = "the token of a registration is bound to the software's certificates, not to one of them (CM-15)";
    unless(is_managed_by_access_token(settings), NothingToBreak(why))
}

fn binding_certificates(settings: &Settings) -> Result<(), Absence> {
    let binds = some(settings, Dialect::binds_certificates);
    unless(binds, NothingToBreak("no certificate names its software, so no certificate is another software's (CB-10)"))
}

fn form(settings: &Settings, rule: FormRule) -> Result<(), Absence> {
    let is_of = |form: &CertificateForm| form.rule == rule || form.organisation_rule == Some(rule);
    let is_asked = some(settings, |dialect| dialect.certificate_forms.iter().any(is_of));
    unless(is_asked, NotAsked("no form of the ecosystem's certificates is judged by this rule"))
}

fn dates(settings: &Settings, are_judged: impl Fn(&[CertificateForm]) -> bool) -> Result<(), Absence> {
    let why = "the dates of the ecosystem's certificates are judged by the rule of their form";
    unless(some(settings, |dialect| are_judged(&dialect.certificate_forms)), NothingToBreak(why))
}

fn is_signed(settings: &Settings) -> bool {
    settings.profile.registration.body == RequestBody::Jwt
}

fn is_managed_by_access_token(settings: &Settings) -> bool {
    settings.profile.registration.management_token == ManagementToken::AccessToken
}

fn allows(settings: &Settings, method: &str) -> bool {
    settings.profile.client_metadata.token_endpoint_auth_methods.iter().any(|allowed| allowed == method)
}

fn some(settings: &Settings, asks: impl Fn(&Dialect) -> bool) -> bool {
    settings.directories.iter().any(|directory| asks(&directory.dialect))
}

fn unless(is_asked: bool, absence: Absence) -> Result<(), Absence> {
    if is_asked { Ok(()) } else { Err(absence) }
}
