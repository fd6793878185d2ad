// The page of `filterd-bot preview`: each surface as Slack would show it, or with #name in the
// address only that one. The surfaces stand in the page as JSON; bot/preview.py puts them there.

import { createRoot } from "react-dom/client";
import { Message } from "slack-blocks-to-jsx";
import "slack-blocks-to-jsx/dist/style.css";

const { surfaces, logo } = JSON.parse(document.getElementById("surfaces").textContent);

// The page's clock stands still: "Today" is the day of the samples, whenever it is drawn.
const NOW = Math.max(...surfaces.map(({ posted }) => Date.parse(posted)));
globalThis.Date = class extends Date {
  constructor(...given) {
    super(...(given.length > 0 ? given : [NOW]));
  }
  static now() {
    return NOW;
  }
};

// The renderer takes plain text for mrkdwn, which Slack never does. So that it shows as it is, it
// goes through the renderer as a number between two letters without meaning, and is put back after.
const plain = [];
const EMOJI = /(:[a-z0-9_+-]+:)/;

function literal(value) {
  if (Array.isArray(value)) return value.map(literal);
  if (value === null || typeof value !== "object") return value;
  if (value.type !== "plain_text") {
    const found = Object.fromEntries(Object.entries(value).map(([name, each]) => [name, literal(each)]));
    if (found.type === "input" && found.optional) found.label.text += " (optional)"; // as Slack does
    return found;
  }
  if (value.emoji === false) return { ...value, text: kept(value.text) };
  const parts = value.text.split(EMOJI).map((part) => (EMOJI.test(part) ? part : kept(part)));
  return { ...value, text: parts.join("") };
}

function kept(text) {
  return /[^\p{L}\p{N} ,.…?!'"-]/u.test(text) ? `\uE000${plain.push(text) - 1}\uE001` : text;
}

function putBack(node) {
  const found = node.nodeValue.replace(/\uE000(\d+)\uE001/g, (_, number) => plain[number]);
  if (found === node.nodeValue) return;
  node.nodeValue = found;
  node.parentElement.style.whiteSpace = "pre-wrap";
}

new MutationObserver(() => {
  const nodes = document.createTreeWalker(document.getElementById("page"), NodeFilter.SHOW_TEXT);
  while (nodes.nextNode()) putBack(nodes.currentNode);
}).observe(document.body, { childList: true, subtree: true, characterData: true });

function Blocks({ surface, ...rest }) {
  const names = surface.people;
  const hooks = { user: ({ id }) => <span className="mention">@{names[id] ?? id}</span> };
  const given = { blocks: literal(surface.blocks), name: "filterd", logo, theme: "light", hooks };
  return <Message {...given} {...rest} />;
}

function Posted({ surface }) {
  return (
    <div className="message">
      {surface.kind === "ephemeral" && <p className="only-you">Only visible to you</p>}
      <Blocks surface={surface} time={new Date(surface.posted)} />
    </div>
  );
}

function Modal({ surface }) {
  return (
    <div className="modal">
      <header>
        <img src={logo} alt="" />
        <h3>{surface.modal_title}</h3>
        <span className="cross">×</span>
      </header>
      <div className="body"><Blocks surface={surface} withoutWrapper /></div>
      {(surface.close || surface.submit) && (
        <footer>
          {surface.close && <span className="button">{surface.close}</span>}
          {surface.submit && <span className="button submit">{surface.submit}</span>}
        </footer>
      )}
    </div>
  );
}

function Home({ surface }) {
  return (
    <div className="home">
      <header><img src={logo} alt="" /><h3>filterd</h3></header>
      <nav><span className="here">Home</span><span>Messages</span><span>About</span></nav>
      <div className="body"><Blocks surface={surface} withoutWrapper /></div>
    </div>
  );
}

const KINDS = { message: Posted, ephemeral: Posted, modal: Modal, home: Home };

function Surface({ surface }) {
  const Kind = KINDS[surface.kind];
  return (
    <section id={surface.name}>
      <h2>{surface.title}</h2>
      <Kind surface={surface} />
    </section>
  );
}

const wanted = decodeURIComponent(location.hash.slice(1));
const alone = surfaces.filter(({ name }) => name === wanted);
document.body.classList.toggle("alone", alone.length > 0);
createRoot(document.getElementById("page")).render(
  (alone.length > 0 ? alone : surfaces).map((surface) => <Surface key={surface.name} surface={surface} />),
);
