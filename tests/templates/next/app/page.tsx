export default async function Home() {
  const answer = await fetch(`${process.env.NEXT_PUBLIC_API_URL}/greeting`);
  return <main>{await answer.text()}</main>;
}
