import { App } from "fresh";

export const app = new App();
app.get("/", () => new Response(Deno.env.get("DENO_DEPLOYMENT_ID")));
