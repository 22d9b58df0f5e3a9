import { describe, expect, it } from 'vitest';
import { cures, isLoopback, isNear, type Situation } from './cures';

const at = (change: Partial<Situation>): Situation => ({
  code: 'model_cors',
  dialect: 'openai',
  url: 'http://127.0.0.1:11434/v1',
  page: 'https://fed.example.org',
  model: 'tiny',
  localNetwork: null,
  ...change,
});
const all = (situation: Situation): string => cures(situation).map((cure) => `${cure.who}: ${cure.what} ${cure.setting ?? ''}`).join('\n');

describe('cures', () => {
  it('names the setting of the server that listens on this port first', () => {
    const found = cures(at({ localNetwork: 'granted' }));
    expect(found[0]).toEqual({ who: 'Ollama', what: 'Restart it with', setting: 'OLLAMA_ORIGINS=https://fed.example.org ollama serve' });
    expect(cures(at({ url: 'http://127.0.0.1:8000/v1', localNetwork: 'granted' }))[0]?.who).toBe('vLLM');
    expect(found.at(-1)?.setting).toContain('fed-bbpt relay --upstream http://127.0.0.1:11434/v1');
  });

  it('knows that vLLM’s refusal of a wrong key looks like one of the page', () => {
    const [first] = cures(at({ url: 'http://127.0.0.1:8000/v1', localNetwork: 'granted' }));
    expect(first).toMatchObject({ who: 'vLLM', setting: `vllm serve … --allowed-origins '["https://fed.example.org"]'` });
    expect(first?.what).toContain('the key');
    expect(all(at({ code: 'model_no_logprobs' }))).toContain('model.openai.top_logprobs = 20');
  });

  it('knows the servers of tensors', () => {
    const text = all(at({ dialect: 'open-inference', url: 'https://models.example.org' }));
    for (const server of ['MLServer', 'Triton', 'OpenVINO', '--allow-origin https://fed.example.org']) expect(text).toContain(server);
  });

  it('gives Triton, which lets no page in, the relay', () => {
    const [first] = cures(at({ dialect: 'open-inference', url: 'http://127.0.0.1:8000', localNetwork: 'granted' }));
    expect(first).toMatchObject({ who: 'Triton', setting: 'fed-bbpt relay --upstream http://127.0.0.1:8000 --no-key --allow-origin https://fed.example.org' });
  });

  it('tells mixed content from loopback, which browsers trust', () => {
    expect(all(at({ url: 'http://models.example.org/v1' }))).toContain('mixed content');
    expect(all(at({}))).not.toContain('mixed content');
    expect(all(at({ page: 'http://127.0.0.1:8700', url: 'http://models.example.org/v1' }))).not.toContain('mixed content');
  });

  it('speaks of the local network only where the browser guards it', () => {
    expect(all(at({ localNetwork: 'denied' }))).toContain('Local network access');
    expect(all(at({ localNetwork: 'prompt' }))).toContain('Allow');
    expect(cures(at({ localNetwork: 'granted' })).some((cure) => cure.who === 'Your browser')).toBe(false);
    expect(cures(at({ page: 'http://localhost:8700' })).some((cure) => cure.who === 'Your browser')).toBe(false);
  });

  it('suspects the certificate only of https', () => {
    expect(all(at({ code: 'model_unreachable', url: 'https://models.example.org' }))).toContain('certificate');
    expect(all(at({ code: 'model_unreachable' }))).not.toContain('certificate');
  });

  it('has something for each kind of refusal', () => {
    for (const code of ['model_slow', 'model_unauthorized', 'model_not_found', 'model_disagrees', 'model_not_this_protocol', 'model_no_logprobs', 'model_no_prompt_embeds', 'model_other_embeddings', 'model_busy', 'model_too_large', 'model_out_of_quota', 'model_wrong_shape'])
      expect(cures(at({ code })), code).not.toEqual([]);
    expect(cures(at({ code: 'model_budget' }))).toEqual([]);
    expect(cures(at({ code: 'model_cors', url: 'nonsense' }))).toEqual([]);
    expect(all(at({ code: 'model_not_this_protocol', url: 'http://127.0.0.1:8000' }))).toContain('http://127.0.0.1:8000/v1');
  });
});

describe('near and loopback', () => {
  it('are told by the host', () => {
    for (const host of ['localhost', '127.0.0.1', '[::1]', 'a.localhost']) expect([isLoopback(host), isNear(host)]).toEqual([true, true]);
    for (const host of ['10.1.2.3', '192.168.0.9', '172.20.0.1', 'printer.local', '[fd00::1]']) expect([isLoopback(host), isNear(host)]).toEqual([false, true]);
    for (const host of ['172.40.0.1', 'example.org', '8.8.8.8', '[2001:db8::1]']) expect(isNear(host), host).toBe(false);
  });
});
