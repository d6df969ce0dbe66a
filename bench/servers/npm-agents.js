// BenchAgent on the npm package `agents`, written as its documentation shows.
import { Agent, callable, routeAgentRequest } from "agents";

export class BenchAgent extends Agent {
  initialState = { count: 0, text: "" };

  @callable()
  add(a, b) {
    return a + b;
  }

  onMessage(connection, message) {
    if (typeof message === "string" && message.startsWith("broadcast:")) this.broadcast(message);
    else connection.send(message);
  }

  onRequest() {
    return Response.json({ ok: true, agent: "bench-agent" });
  }
}

export default {
  async fetch(request, env) {
    return (await routeAgentRequest(request, env)) ?? new Response("Not found", { status: 404 });
  },
};
