/** How to fix a model API that cannot be used: settings to change, by the error's code and by the server that it may be. Pure. */

export interface Situation {
  /** The trouble's stable code. */
  code: string;
  /** `openai`, `huggingface`, `open-inference`, … */
  dialect: string;
  /** The model API's address. */
  url: string;
  /** This page's origin. */
  page: string;
  /** The model's name in the task. */
  model: string;
  /** The browser's permission for requests to this device or its network; null if it has no such permission. */
  localNetwork: 'granted' | 'denied' | 'prompt' | null;
}

export interface Cure {
  /** Whom the fix concerns: a server, a person, or the browser. */
  who: string;
  what: string;
  /** Text to type or paste, if any. */
  setting?: string;
}

/** Servers by their default port. */
const PORTS: Record<string, readonly string[]> = { '11434': ['Ollama'], '8000': ['vLLM', 'Triton'], '8080': ['llama.cpp', 'MLServer'], '8701': ['fed-bbpt model-api'] };

/** Possible fixes, likeliest first. */
export function cures(situation: Situation): Cure[] {
  switch (situation.code) {
    case 'model_cors':
    case 'model_unreachable':
      return unreachable(situation);
    case 'model_slow':
      return [{ who: 'The model’s provider', what: 'Check whether it is overloaded or still loading. A slow model needs more time in the task:', setting: 'model.calls.time_out_ms = 120000' }];
    case 'model_unauthorized':
      return [{ who: 'You', what: 'Check that the key has no spaces around it, is this provider’s, and may use this model. A local server without keys needs none.' }];
    case 'model_not_found':
    case 'model_disagrees':
      return [
        { who: 'The organiser', what: `The task asks for “${situation.model}”. The server’s own list shows what it is called there:`, setting: listing(situation) },
        ...(situation.dialect === 'open-inference' ? [{ who: 'The organiser', what: 'If sizes or names differ, set model.input and model.output in the task to what the model’s own description says. Models of tables of numbers need', setting: 'model.input = { flat = true, colour = "grey", datatype = "FP32" }' }] : []),
      ];
    case 'model_not_this_protocol':
      return [
        situation.dialect === 'openai'
          ? { who: 'The organiser', what: 'The address of an OpenAI-compatible server ends with its version:', setting: withVersion(situation.url) }
          : { who: 'The organiser', what: `The task names the dialect “${situation.dialect}”. This server may need another one:`, setting: 'model.dialect = "openai"   # or "huggingface", "open-inference", "on-device"' },
      ];
    case 'model_server_error':
      return situation.dialect === 'open-inference' ? [{ who: 'MLServer', what: 'It does not accept binary tensors. In the task, set:', setting: 'model.input.json = true' }] : [];
    case 'model_no_logprobs':
      return [
        { who: 'Ollama', what: 'It returns log-probabilities from version 0.12.11 on. To see yours:', setting: 'ollama --version' },
        { who: 'vLLM', what: 'It lists at most 20 by default. In the task, ask for no more:', setting: 'model.openai.top_logprobs = 20' },
        { who: 'OpenAI', what: 'Models that reason before they answer return none. Use one that does not, such as gpt-4o-mini or gpt-4.1-mini.' },
      ];
    case 'model_no_prompt_embeds':
      return [{ who: 'vLLM', what: 'Only vLLM accepts prompts as embeddings, and only when it is started with', setting: 'vllm serve … --enable-prompt-embeds' }];
    case 'model_other_embeddings':
      return [
        { who: 'The organiser', what: 'The tokenizer and the table must come from the very model that the server runs. This command extracts them and prints the lines for the task:', setting: 'fed-bbpt embeddings --model FOLDER --output embeddings' },
        { who: 'The model’s provider', what: 'A fine-tuned model has its own table. Check which model the server was started with (models that scale their embeddings after the look-up, such as Gemma, cannot be used):', setting: listing(situation) },
      ];
    case 'model_busy':
      return [{ who: 'The organiser', what: 'The provider limits how often it can be asked. Set a lower rate in the task:', setting: 'model.calls.per_second = 5' }];
    case 'model_too_large':
      return [{ who: 'The organiser', what: 'Make requests smaller, in the task:', setting: 'model.calls.batch = 8' }];
    case 'model_out_of_quota':
      return [{ who: 'You', what: 'The account behind the key has no credit left. Add some at the provider, or use another key.' }];
    case 'model_wrong_shape':
      return [{ who: 'The organiser', what: 'The model returns a different number of classes than the task says:', setting: 'model.output.classes = …' }];
    default:
      return [];
  }
}

function unreachable(situation: Situation): Cure[] {
  const { url, page, code, localNetwork } = situation;
  const [model, own] = [parsed(url), parsed(page)];
  const found: Cure[] = [];
  if (model === null) return found;
  const near = isNear(model.hostname);
  if (own?.protocol === 'https:' && model.protocol === 'http:' && !isLoopback(model.hostname)) {
    found.push({ who: 'Your browser', what: 'This page was loaded over https, so browsers refuse to call an http address from it (mixed content). Give the model an https address, or run the relay on this device and use its address:', setting: `fed-bbpt relay --upstream ${url} --allow-origin ${page}` });
  }
  if (near && own !== null && !isNear(own.hostname) && localNetwork !== 'granted') {
    found.push({
      who: 'Your browser',
      what:
        localNetwork === 'denied'
          ? 'It has been told not to let this page reach your own network. To allow it again, click the icon to the left of the address, then Site settings, then Local network access.'
          : 'It asks whether this page may reach devices on your own network. Choose “Allow”, then try again.',
    });
  }
  if (code === 'model_unreachable') {
    found.push({ who: 'The server', what: 'Check that it is running: open its address in another tab.', setting: model.origin });
    if (model.protocol === 'https:') found.push({ who: 'The certificate', what: 'If that tab warns of an unsafe connection, browsers do not trust the server’s certificate. It needs one that they trust, for example from Let’s Encrypt.' });
  }
  found.push(...allowing(situation, model));
  return found;
}

/** The setting of each server that allows this page; the server whose default port it is comes first. */
function allowing({ dialect, page, url }: Situation, model: URL): Cure[] {
  const relay: Cure = { who: 'Any other server, or one that you cannot change', what: 'Run the relay on this device and use the address that it prints:', setting: `fed-bbpt relay --upstream ${url} --allow-origin ${page}` };
  const openai: Cure[] = [
    { who: 'Ollama', what: 'Restart it with', setting: `OLLAMA_ORIGINS=${page} ollama serve` },
    { who: 'vLLM', what: 'Check the key first: to a browser, vLLM’s refusal of a wrong key looks the same. Then start it with', setting: `vllm serve … --allowed-origins '["${page}"]'` },
    { who: 'llama.cpp', what: 'llama-server and llama-cpp-python allow every page by default. Check the address and the port, and any proxy in front of it', setting: 'llama-server --host 127.0.0.1 --port 8080' },
  ];
  const inference: Cure[] = [
    { who: 'fed-bbpt model-api', what: 'Start it with', setting: `fed-bbpt model-api --allow-origin ${page}` },
    { who: 'MLServer', what: 'In its settings.json', setting: `"cors_settings": { "allow_origins": ["${page}"], "allow_methods": ["GET", "POST"], "allow_headers": ["content-type", "authorization", "inference-header-content-length"] }` },
    { who: 'OpenVINO Model Server', what: 'Start it with', setting: `--allowed_origins ${page} --allowed_headers content-type,authorization,inference-header-content-length` },
    { who: 'Triton', what: 'It does not let any page in (it refuses the question that browsers ask first) and has no setting to change that. Put a proxy in front of it that answers and adds the headers, or run the relay on this device and use its address as the model’s:', setting: `fed-bbpt relay --upstream ${url} --no-key --allow-origin ${page}` },
  ];
  const servers = dialect === 'openai' ? openai : inference;
  const likely = PORTS[model.port] ?? [];
  return [...servers.filter((cure) => likely.includes(cure.who)), ...servers.filter((cure) => !likely.includes(cure.who)), relay];
}

function listing({ dialect, url, model }: Situation): string {
  switch (dialect) {
    case 'openai':
      return `curl ${url}/models`;
    case 'huggingface':
      return `https://huggingface.co/${model}`;
    default:
      return `curl ${url}/v2/models/${model}`;
  }
}

function withVersion(url: string): string {
  return url.endsWith('/v1') ? url : `model.url = "${url.replace(/\/+$/, '')}/v1"`;
}

function parsed(url: string): URL | null {
  try {
    return new URL(url);
  } catch {
    return null;
  }
}

/** Whether the host is this device itself, which browsers trust over http, too. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost') || host === '[::1]' || /^127\./.test(host);
}

/** Whether the host is this device or on its network, which is what the browser's permission is about. */
export function isNear(host: string): boolean {
  return isLoopback(host) || host.endsWith('.local') || /^10\.|^192\.168\.|^172\.(1[6-9]|2\d|3[01])\.|^169\.254\./.test(host) || /^\[f[cde]/.test(host);
}
