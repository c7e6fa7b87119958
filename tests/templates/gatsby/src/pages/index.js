import * as React from "react"

export default function Home() {
  return <a href={process.env.GATSBY_API_URL}>API</a>
}
