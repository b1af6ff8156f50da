// Requests are tried from the page. The access token stays in this script: it is gone with the page.
const LONGEST = 100000; // characters of an answer that are shown
const PATIENCE = 30000; // milliseconds
const SHOWN = ["location", "retry-after", "ratelimit", "idempotent-replayed", "x-request-id"];
const login = document.getElementById("try-login");
let token = "";
for (const form of document.querySelectorAll("form[hidden]")) form.hidden = false;
for (const pre of document.querySelectorAll("pre.origin"))
  pre.textContent = pre.textContent.replaceAll("http://127.0.0.1:8080", location.origin);

// A key of its own for each form, as a program would make one; sent again it is the same request.
for (const area of document.querySelectorAll("textarea[data-key]:not([data-key=''])")) {
  const key = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  area.value = JSON.stringify({ ...JSON.parse(area.value), [area.dataset.key]: `docs-${key}` }, null, 2);
}

// What the form says: the path with its parts, the query and the body.
const asked = (form) => {
  const query = new URLSearchParams();
  let path = form.dataset.path;
  let body;
  for (const { name, value, dataset } of form.elements) {
    if (dataset.in === "path") path = path.replace(`{${name}}`, encodeURIComponent(value));
    else if (dataset.in === "query" && value !== "") query.append(name, value);
    else if (dataset.in === "body") body = value;
  }
  return [query.size ? `${path}?${query}` : path, body];
};

const call = (verb, target, body) => {
  const headers = { accept: "application/json" };
  if (body !== undefined) headers["content-type"] = "application/json";
  if (token) headers.authorization = `Bearer ${token}`;
  // Cookies stay at home: the caller is the one that the page says.
  return fetch(target, { method: verb, headers, body, credentials: "omit", signal: AbortSignal.timeout(PATIENCE) });
};

const indented = (text) => {
  try {
    JSON.parse(text);
  } catch {
    return text;
  }
  return pretty(text);
};

// Indents JSON without reading its numbers: one of 64 bits would lose its last digits.
const pretty = (text) => {
  let depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  return text.replace(/"(?:[^"\\]|\\.)*"|[{[]\s*[\]}]|[{}[\],:]|\s+/g, (part) => {
    if (/^\s/.test(part)) return "";
    if (part === "{" || part === "[") return (depth++, part + line());
    if (part === "}" || part === "]") return (depth--, line() + part);
    if (part === ",") return part + line();
    return part === ":" ? ": " : part;
  });
};

const show = (output, summary, text = "") => {
  const strong = document.createElement("strong");
  strong.textContent = summary;
  const pre = document.createElement("pre");
  pre.tabIndex = 0;
  pre.textContent = text.length > LONGEST ? `${text.slice(0, LONGEST)}\n… ${text.length - LONGEST} characters more` : text;
  output.replaceChildren(strong, ...(text ? [pre] : []));
};

const failed = (output, error) =>
  show(output, error.name === "TimeoutError" ? "No answer within 30 s." : `No answer: ${error.message}.`);

const submitted = (form, run) =>
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const output = form.querySelector("output");
    output.textContent = "Sending…";
    try {
      await run(form, output);
    } catch (error) {
      failed(output, error);
    }
  });

const attempt = async (form, output) => {
  const [target, body] = asked(form);
  const began = performance.now();
  const answer = await call(form.dataset.verb, target, body);
  const text = await answer.text();
  const took = Math.round(performance.now() - began);
  const found = SHOWN.filter((name) => answer.headers.has(name)).map((name) => `${name}: ${answer.headers.get(name)}`);
  const hint = answer.status === 401 && !token && login ? " Log in at the top of the page." : "";
  show(output, `${answer.status} ${answer.statusText} after ${took} ms.${hint}`, [...found, "", indented(text)].join("\n").trim());
};

const enter = async (form, output) => {
  token = "";
  const named = [...form.elements].filter((field) => field.name);
  const answer = await call(form.dataset.verb, form.dataset.path, JSON.stringify(Object.fromEntries(named.map((field) => [field.name, field.value]))));
  const found = await answer.json();
  token = answer.ok ? found.accessToken : "";
  const who = named.find((field) => field.type !== "password")?.value ?? "";
  show(output, answer.ok ? `Logged in as ${who}.` : `${answer.status}: ${found.detail}`);
};

for (const form of document.querySelectorAll("form.try")) submitted(form, attempt);
if (login) {
  submitted(login, enter);
  const nobody = login.querySelector("output").textContent;
  login.querySelector("#try-logout").addEventListener("click", () => {
    token = "";
    login.querySelector("output").textContent = nobody;
  });
  login.querySelector("#try-account")?.addEventListener("change", (event) => {
    if (!event.target.value) return;
    for (const [name, value] of Object.entries(JSON.parse(event.target.value))) login.elements[name].value = value;
  });
}
