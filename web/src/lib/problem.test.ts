import { describe, expect, it } from 'vitest';
import { ApiError, asApiError, parseProblem, unreachable } from './problem';

describe('an error answer', () => {
  it('is a problem document', () => {
    const error = parseProblem(403, '{"type":"about:blank","status":403,"code":"bad_invite","title":"this invite is not valid","detail":"ask for a new one"}');
    expect(error).toMatchObject({ status: 403, code: 'bad_invite', title: 'this invite is not valid', detail: 'ask for a new one', faults: [] });
    expect(error.message).toBe('this invite is not valid: ask for a new one');
  });
  it('carries a task’s faults, all of them', () => {
    const body = { code: 'bad_task', title: 'no', faults: [{ path: 'name', message: 'is missing' }, { path: 'model.url', message: 'must be…' }, { path: 'odd' }, null, 3] };
    expect(parseProblem(422, JSON.stringify(body)).faults).toEqual([{ path: 'name', message: 'is missing' }, { path: 'model.url', message: 'must be…' }]);
  });
  it('may be a proxy’s, and is then said to be', () => {
    for (const body of ['<html><body>502 Bad Gateway</body></html>', '', '[]', 'null', '"text"', '{"error":"x"}', '{"code":7}']) {
      expect(parseProblem(502, body), body).toMatchObject({ status: 502, code: 'unreadable' });
    }
  });
  it('has a title even if none was sent', () => {
    expect(parseProblem(500, '{"code":"internal"}').title).toBe('Error 500');
  });
});

it('any thrown thing becomes an error for people', () => {
  const original = unreachable();
  expect(asApiError(original)).toBe(original);
  expect(asApiError(new TypeError('x is undefined'))).toMatchObject({ code: 'internal', detail: 'x is undefined' });
  expect(asApiError('odd')).toBeInstanceOf(ApiError);
});
