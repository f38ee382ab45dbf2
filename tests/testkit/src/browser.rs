//! A browser without scripts: it keeps a cookie, fills forms in, presses buttons, and goes where it is sent.

use std::time::Duration;

use reqwest::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, HeaderMap, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Method};
use url::Url;

/// A browser with a cookie jar of its own.
#[derive(Debug)]
pub struct Browser {
    /// The only host that sets a cookie, and the cookie.
    jar: Option<(String, String)>,
}

/// What it shows.
#[derive(Debug, Clone)]
pub struct Page {
    /// Where it is.
    pub url: Url,
    /// HTTP status.
    pub status: u16,
    /// The page itself.
    pub html: String,
    /// Where its forms may lead.
    forms: Vec<String>,
}

/// One step: a page, or the way to another.
struct Step {
    page: Page,
    to: Option<Url>,
}

/// Nobody is sent on more often than this.
const STEPS: usize = 10;

impl Default for Browser {
    fn default() -> Self {
        Self::new()
    }
}

impl Browser {
    /// Nobody is signed in.
    pub fn new() -> Self {
        Self { jar: None }
    }

    /// Opens a link, and goes where it leads.
    ///
    /// # Panics
    /// When nobody answers.
    #[track_caller]
    pub fn open(&mut self, link: &str) -> Page {
        let step = self.step(Method::GET, &link.parse().expect("a URL"), None);
        self.follow(step)
    }

    /// Fills in the form with this button, presses it, and goes where that leads. What is not filled in stays as it is.
    ///
    /// # Panics
    /// When there is no such button or field, or the page does not let its form lead there, as browsers see to.
    #[track_caller]
    pub fn press(&mut self, page: &Page, button: &str, fill: &[(&str, &str)]) -> Page {
        let step = self.send(page, button, fill);
        if let Some(to) = &step.to {
            let own = page.url.origin() == to.origin() && page.forms.iter().any(|form| form == "'self'");
            let origin = to.origin().ascii_serialization();
            assert!(own || page.forms.contains(&origin), "{:?} does not let a form lead to {origin}", page.forms);
        }
        self.follow(step)
    }

    /// As [`press`](Self::press), but says where it is sent and does not go there.
    ///
    /// # Panics
    /// When it is not sent anywhere.
    #[track_caller]
    pub fn press_and_stay(&mut self, page: &Page, button: &str) -> Url {
        let step = self.send(page, button, &[]);
        step.to.unwrap_or_else(|| panic!("{button} leads nowhere: {}", step.page.html))
    }

    #[track_caller]
    fn send(&mut self, page: &Page, button: &str, fill: &[(&str, &str)]) -> Step {
        let (action, mut fields) = page.form(button);
        for (name, value) in fill {
            let field = fields.iter_mut().find(|(known, _)| known == name);
            (*value).clone_into(&mut field.unwrap_or_else(|| panic!("no field {name}: {}", page.html)).1);
        }
        let to = page.url.join(&action).expect("a form leads somewhere");
        self.step(Method::POST, &to, Some(&fields))
    }

    #[track_caller]
    fn follow(&mut self, mut step: Step) -> Page {
        for _ in 0..STEPS {
            match step.to {
                Some(to) => step = self.step(Method::GET, &to, None),
                None => return step.page,
            }
        }
        panic!("sent on for ever: {}", step.page.url)
    }

    #[track_caller]
    fn step(&mut self, method: Method, url: &Url, form: Option<&[(String, String)]>) -> Step {
        let call = async {
            let client =
                Client::builder().no_proxy().redirect(Policy::none()).timeout(Duration::from_secs(120)).build()?;
            let mut request = client.request(method, url.clone());
            if let Some((_, cookie)) = self.jar.as_ref().filter(|(origin, _)| *origin == url.authority()) {
                request = request.header(COOKIE, cookie);
            }
            if let Some(form) = form {
                let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
                request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
                // Every form here is one of the page's own origin.
                request = request.header("sec-fetch-site", "same-origin");
            }
            let response = request.send().await?;
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            Ok::<_, reqwest::Error>((status, headers, response.text().await?))
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
        let (status, headers, html) = runtime.block_on(call).unwrap_or_else(|error| panic!("{url}: {error:?}"));
        self.keep(url, &headers);
        let to = text(&headers, LOCATION.as_str()).filter(|_| (300..400).contains(&status));
        let to = to.map(|to| url.join(&to).expect("it leads somewhere"));
        Step { page: Page { url: url.clone(), status, html, forms: forms(&headers) }, to }
    }

    fn keep(&mut self, url: &Url, headers: &HeaderMap) {
        let Some(set) = text(headers, SET_COOKIE.as_str()) else { return };
        let cookie = set.split(';').next().unwrap_or_default().to_owned();
        self.jar = (!cookie.ends_with('=')).then(|| (url.authority().to_owned(), cookie));
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(|value| value.to_str().expect("ascii").to_owned())
}

fn forms(headers: &HeaderMap) -> Vec<String> {
    let policy = text(headers, CONTENT_SECURITY_POLICY.as_str()).unwrap_or_default();
    let forms = policy.split(';').find_map(|part| part.trim().strip_prefix("form-action ").map(str::to_owned));
    forms.unwrap_or_default().split(' ').map(str::to_owned).collect()
}

impl Page {
    /// Where the form with this button leads, and what is in it.
    #[track_caller]
    fn form(&self, button: &str) -> (String, Vec<(String, String)>) {
        let pressed = format!(">{button}</button>");
        let forms = self.html.split("<form ").skip(1).filter_map(|form| form.split("</form>").next());
        let form = forms.into_iter().find(|form| form.contains(&pressed));
        let form = form.unwrap_or_else(|| panic!("no button {button}: {}", self.html));
        let own =
            form.split("<button").find(|part| part.contains(&pressed)).and_then(|part| attribute(part, "formaction"));
        let action = own.or_else(|| attribute(form, "action")).expect("a form leads somewhere");
        let fields = form.split("<input ").skip(1).filter_map(|input| {
            let input = input.split('>').next()?;
            Some((attribute(input, "name")?, attribute(input, "value").unwrap_or_default()))
        });
        (action, fields.collect())
    }
}

fn attribute(markup: &str, name: &str) -> Option<String> {
    let (_, value) = markup.split_once(&format!("{name}=\""))?;
    let value = value.split('"').next()?;
    let plain = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    Some(plain.into_iter().fold(value.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain)))
}
