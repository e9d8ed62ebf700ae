// The node's API, with the token of this tab.

const key = "fairway-token";

// takeToken moves a token from the address (#token=…) into the tab's storage,
// so that it is in no bookmark, history entry or screenshot.
export function takeToken() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token) {
    setToken(token);
    history.replaceState(null, "", location.pathname);
  }
}

export const setToken = (token) => sessionStorage.setItem(key, token.trim());

export const hasToken = () => sessionStorage.getItem(key) !== null;

// call returns the answer's JSON. It throws an Error whose status is the HTTP
// status, 0 when no node answered.
export async function call(method, path, body) {
  const headers = {};
  const token = sessionStorage.getItem(key);
  if (token) headers.Authorization = `Bearer ${token}`;
  if (method !== "GET") headers["Content-Type"] = "application/json";
  let response, answer;
  try {
    response = await fetch(path, {
      method, headers, body: body && JSON.stringify(body),
      cache: "no-store", redirect: "error", signal: AbortSignal.timeout(8000),
    });
    answer = await response.json();
  } catch (cause) {
    throw Object.assign(new Error("the node does not answer", { cause }), { status: response?.ok === false ? response.status : 0 });
  }
  if (!response.ok) {
    const text = [answer.error, answer.remedy].filter(Boolean).join("\n");
    throw Object.assign(new Error(text || `HTTP ${response.status}`), { status: response.status });
  }
  return answer;
}
