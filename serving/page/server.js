// What is asked of the server that the page came from, by the same calls as any other client's.

export const model = document.querySelector('meta[name="model"]').content;
const address = `v1/models/${encodeURIComponent(model)}`;
const LONGEST_PAUSE = 60; // seconds

/** What a person is told as it stands; any other error is one of this page. */
export class Refusal extends Error {}

/** What a person is told of an error. */
export function sentence(error) {
  return error instanceof Refusal ? error.message : `Something went wrong on this page: ${error.message}`;
}

/**
 * The served version, its classes (none, if the model does not tell them) and the names of its signatures.
 * Null while no version is served.
 */
export async function describe() {
  const [told, metadata] = await Promise.all([get(`${address}/classes`), get(`${address}/metadata`)]);
  if (!told || !metadata) return null;
  const signatures = Object.keys(metadata.metadata.signature_def.signature_def);
  return { version: told.version, classes: told.classes, signatures };
}

async function get(path) {
  let response;
  try {
    response = await fetch(path);
  } catch {
    throw new Refusal("The server does not answer.");
  }
  return response.ok ? response.json() : null;
}

/**
 * The PNGs that a signature answers for one image: one mask, or one map of probabilities for each class.
 * A server that is busy and says when to come back (503 with Retry-After) is asked again then, until the
 * signal aborts; `busy` is called with the seconds.
 */
export async function predict(signature, image, signal, busy) {
  const instances = [{ b64: await base64(image) }];
  const body = JSON.stringify({ signature_name: signature, instances });
  for (;;) {
    const response = await post(body, signal);
    const pause = Number.parseInt(response.headers.get("retry-after"), 10);
    if (response.status === 503 && pause >= 0) {
      const seconds = Math.min(Math.max(pause, 1), LONGEST_PAUSE);
      busy(seconds);
      await sleep(seconds, signal);
      continue;
    }
    const answer = await response.json().catch(() => ({}));
    signal.throwIfAborted();
    if (!response.ok) throw new Refusal(`The server refuses it: ${reason(response, answer)}.`);
    const [found] = answer.predictions ?? [];
    const files = Array.isArray(found) ? found : [found];
    if (!files.every((file) => file?.b64)) {
      throw new Refusal("This model answers with something else than images.");
    }
    return files.map((file) => new Blob([bytes(file.b64)], { type: "image/png" }));
  }
}

async function post(body, signal) {
  try {
    const headers = { "Content-Type": "application/json" };
    return await fetch(`${address}:predict`, { method: "POST", headers, body, signal });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Refusal("The server does not answer.");
  }
}

function reason(response, answer) {
  const said = answer.error ?? `status ${response.status}`;
  const damaged = /^Invalid (PNG|JPEG) data/.test(said) ? "the file is damaged or cut short: " : "";
  return `${damaged}${said}`.replace(/^element 0: |\.$/g, ""); // there is but one
}

function sleep(seconds, signal) {
  return new Promise((resolve, reject) => {
    const ended = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", ended);
      resolve();
    }, 1000 * seconds);
    if (signal.aborted) ended();
    else signal.addEventListener("abort", ended, { once: true });
  });
}

function base64(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(new Refusal("The file cannot be read."));
    reader.readAsDataURL(blob);
  });
}

function bytes(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}
